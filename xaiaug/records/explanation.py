"""Heatmaps: which pixels a classifier's decision rests on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import RecordError
from .rendering import draw_heatmap, save_heatmap, to_html


@dataclass(frozen=True, eq=False)
class Explanation:
    """A heatmap over one image, with raw values; scale them for display only.

    Attributes:
        heatmap: h w, float32, the size of the image; NaN outside what the model saw.
        method: name of the method, such as "attention-rollout".
        target: index of the explained class.
        class_specific: whether the heatmap depends on `target`.
        grid: gh gw, float32, the unscaled map at the model's resolution; None where the method has none.
        completeness_error: the sum of the grid minus what it should add up to, in logits; None where the method
            promises no sum.

    Raises:
        RecordError: heatmap or grid is not two-dimensional.
    """

    heatmap: NDArray[np.float32]
    method: str
    target: int
    class_specific: bool
    grid: NDArray[np.float32] | None = None
    completeness_error: float | None = None

    def __post_init__(self) -> None:
        for name in ("heatmap", "grid"):
            values = getattr(self, name)
            if values is not None and np.ndim(values) != 2:
                raise RecordError(f"Explanation by {self.method!r}: {name} must be h w, got shape {np.shape(values)}")

    def overlay(self, image: Image.Image, scale: tuple[float, float] | None = None) -> Image.Image:
        """The heatmap in colours over its image in grey, as panels and reports show it.

        Args:
            image: that was explained, of any size.
            scale: raw values of the coldest and the hottest colour, to compare maps; None takes them from this map.

        Raises:
            DataError: the image has other proportions than the map, or the scale no extent.
        """
        drawn: Image.Image = draw_heatmap(self, image, scale)
        return drawn

    def save(self, path: str | Path, image: Image.Image | None = None) -> Path:
        """Writes the raw values (`.npy`), or a picture: the map alone, or over its image. Returns the path.

        Args:
            path: of the file; its suffix says the format.
            image: that was explained; None: the map alone.

        Raises:
            DataError: there is no format with that suffix.
        """
        written: Path = save_heatmap(self, path, image)
        return written

    def _repr_html_(self) -> str:
        return to_html(self)

    @property
    def degenerate(self) -> bool:
        """Whether the map carries no information, being constant or not finite where the model saw the image."""
        values = self.heatmap if self.grid is None else self.grid
        if values.size == 0:
            return True
        if self.grid is None:  # without the pixels that the model did not see
            least, most = np.fmin.reduce(values, axis=None), np.fmax.reduce(values, axis=None)
        else:
            least, most = values.min(), values.max()
        if not (np.isfinite(least) and np.isfinite(most)):
            return True
        return bool(most - least <= 1e-6 * max(abs(least), abs(most)))

    @property
    def finite(self) -> NDArray[np.float32]:
        """The finite values of the map, flat; a view where all of them are."""
        known = np.isfinite(self.heatmap)
        return self.heatmap.reshape(-1) if known.all() else self.heatmap[known]

    @property
    def floor(self) -> float:
        """The value above which heat counts; NaN where no value is finite.

        It is 0 in a map of both signs, whose negative values are evidence against the class; else the minimum.
        """
        finite = self.finite
        if finite.size == 0:
            return float("nan")
        least, most = float(finite.min()), float(finite.max())
        return 0.0 if least < 0 < most else least
