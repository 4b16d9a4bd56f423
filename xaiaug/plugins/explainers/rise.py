"""The explainer that covers the image with random masks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ._base import PredictionExplainer
from ._heatmap import place
from ._perturbation import HiddenParts

_STEPS = 4  # positions of a mask within a cell, along each side; the map has as many values for each cell
_MASKS_AT_ONCE = 256


class Rise(PredictionExplainer):
    """RISE (Petsiuk et al. 2018, arXiv:1806.07421): how much more probable the class is where a pixel is shown.

    Random grids of shown and hidden cells, scaled smoothly and shifted at random, mask the image. The map is the mean
    probability weighted by what the masks show, less that weighted by what they hide: 0 where it makes no difference,
    negative where the class becomes more probable without it. (The paper's map is the first term; with many masks the
    two differ by a constant and a factor.) It depends on the class. It only needs predictions and is defined for
    every classifier. It finds parts that matter only together, which `occlusion` cannot, and is noisier.

    The masks depend on the seed and on how many pixels the classifier sees, not on the image or the batch.

    Args:
        masks: number of masks, 2 or more, and of predictions for an image. Noise falls with its square root.
        cells: rows and columns of the random grids, 1 or more; fewer where the classifier sees fewer pixels.
        shown: probability that a cell is shown, between 0 and 1.
        seed: another seed gives other masks.
    """

    method = "rise"

    def __init__(self, masks: int = 500, cells: int = 7, shown: float = 0.5, seed: int = 0) -> None:
        for name, value, least in (("masks", masks, 2), ("cells", cells, 1), ("seed", seed, 0)):
            if value < least:
                raise ConfigError(f"{self.method}: {name} must be {least} or more, got {value}")
        if not 0 < shown < 1:
            raise ConfigError(f"{self.method}: shown must lie between 0 and 1, got {shown}")
        self.masks = masks
        self.cells = cells
        self.shown = shown
        self.seed = seed

    def _make_grid(self, parts: HiddenParts) -> NDArray[np.float32]:
        rows, columns = (min(self.cells, pixels) for pixels in parts.shape)
        masks = self._iter_masks(rows, columns)
        visible = weighted = np.zeros((rows * _STEPS, columns * _STEPS))
        total = 0.0
        for start in range(0, self.masks, _MASKS_AT_ONCE):
            batch = np.stack([next(masks) for _ in range(min(_MASKS_AT_ONCE, self.masks - start))])
            values = parts.predict(batch, smooth=True)
            visible = visible + batch.sum(axis=0, dtype=np.float64)
            weighted = weighted + np.tensordot(values, batch, axes=1)
            total += values.sum()
        return _contrast(weighted, visible, total, self.masks)

    def _iter_masks(self, rows: int, columns: int) -> Iterator[NDArray[np.float32]]:
        """Endless masks, from 0 to 1: rows·4 columns·4."""
        generator = np.random.default_rng(self.seed)
        height, width = rows * _STEPS, columns * _STEPS
        larger = width + _STEPS, height + _STEPS
        while True:
            cells = (generator.random((rows + 1, columns + 1)) < self.shown).astype(np.float32)
            top, left = generator.integers(0, _STEPS, 2)
            yield place(cells, (0, 0, *larger), larger)[top : top + height, left : left + width]


def _contrast(
    weighted: NDArray[np.float64], visible: NDArray[np.float64], total: float, count: int
) -> NDArray[np.float32]:
    """Mean value where a pixel is shown, less that where it is hidden; 0 where it was never one of the two.

    Args:
        weighted: gh gw, sum of values times masks.
        visible: gh gw, sum of masks.
        total: sum of values.
        count: number of masks.
    """
    hidden = count - visible
    both = (visible > 0) & (hidden > 0)
    shown_mean = weighted / np.where(both, visible, 1)
    hidden_mean = (total - weighted) / np.where(both, hidden, 1)
    return np.where(both, shown_mean - hidden_mean, 0).astype(np.float32)
