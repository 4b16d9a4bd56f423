"""The explainer that covers the image piece by piece."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ._base import PredictionExplainer, require_captum
from ._perturbation import HiddenParts

if TYPE_CHECKING:
    from torch import Tensor


class Occlusion(PredictionExplainer):
    """Occlusion (Zeiler and Fergus 2013, arXiv:1311.2901): how far the probability falls while a window is covered.

    The value of a cell is the mean over all windows that cover it; negative where the class becomes more probable
    without it. It depends on the class. It only needs predictions and is defined for every classifier. Nothing about
    it is random, but a classifier that decides by any of several parts loses nothing when one of them is covered.

    Args:
        cells: rows and columns of the map, 1 or more; fewer where the classifier sees fewer pixels.
        window: rows and columns of cells that are covered at once, 1 or more. Windows move by one cell, from the first
            that covers a corner to the last, so an image takes 1 + (cells + window - 1)² predictions.
    """

    method = "occlusion"

    def __init__(self, cells: int = 10, window: int = 2) -> None:
        for name, value in (("cells", cells), ("window", window)):
            if value < 1:
                raise ConfigError(f"{self.method}: {name} must be 1 or more, got {value}")
        if window > cells:
            raise ConfigError(f"{self.method}: window must be at most cells, {cells}, got {window}")
        self.cells = cells
        self.window = window

    def check(self) -> None:
        """Raises MissingExtraError where captum is not installed."""
        require_captum(self.method)

    def _make_grid(self, parts: HiddenParts) -> NDArray[np.float32]:
        import torch
        from captum.attr import Occlusion as Attribution

        def forward(shown: Tensor) -> Tensor:
            return torch.from_numpy(parts.predict(shown[:, 0, rows, columns].numpy(), smooth=False))

        cells = [min(self.cells, pixels) for pixels in parts.shape]
        window = [min(self.window, count) for count in cells]
        # Windows reach beyond the border, so that each cell is under equally many: else those at the border would have
        # the value of a single window, that of a part beside them.
        rows, columns = (slice(side - 1, side - 1 + count) for side, count in zip(window, cells, strict=True))
        padded = [count + 2 * (side - 1) for side, count in zip(window, cells, strict=True)]
        # captum hides windows of cells, and each is drawn on the image.
        attributions = Attribution(forward).attribute(
            torch.ones(1, 1, *padded),
            sliding_window_shapes=(1, *window),
            strides=(1, 1, 1),
            baselines=0,
            perturbations_per_eval=parts.batch_size,
        )
        grid: NDArray[np.float32] = attributions[0, 0, rows, columns].numpy().astype(np.float32)
        return grid
