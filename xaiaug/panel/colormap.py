"""Heatmap values as colours: the scale of a map, and a perceptually uniform colour map."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import DataError
from ..records import Explanation

Scale = tuple[float, float]
# Percentile: a few outlier tokens (arXiv 2309.16588) would leave the rest of a map dark, so they share the last colour.
_TOP = 99.5
_ZERO = 0.005  # share of the range below which a number is written as 0


@dataclass(frozen=True, eq=False)
class Heat:
    """A heatmap scaled to 0–1 at the size of a picture.

    Attributes:
        shares: h w, float32, 0 (cold) to 1 (hot), NaN where the model did not look.
        scale: the raw values at 0 and 1.
        clipped: whether raw values lie above the scale.
        beneath: whether raw values lie below it.
    """

    shares: NDArray[np.float32]
    scale: Scale
    clipped: bool
    beneath: bool = False

    @classmethod
    def of(cls, explanation: Explanation, size: tuple[int, int], scale: Scale | None = None) -> Heat | None:
        """The map at the size of a picture (width, height); None if it is constant or has no finite value.

        Args:
            explanation: raw values.
            size: width and height of the picture.
            scale: raw values of the coldest and the hottest colour; None takes them from this map.
        """
        own_scale = scale_of(explanation)
        if own_scale is None:
            return None
        low, high = scale or own_scale
        least, most = np.fmin.reduce(explanation.heatmap, axis=None), np.fmax.reduce(explanation.heatmap, axis=None)
        slack = 1e-6 * (high - low)
        # Scaled after it is resized: many a map is larger than its picture.
        shares = (_resize(np.clip(explanation.heatmap, low, high), size) - low) / (high - low)
        colour = np.clip(shares, 0, 1).astype(np.float32)
        return cls(colour, (low, high), bool(most > high + slack), bool(least < low - slack))

    def colours(self) -> NDArray[np.uint8]:
        """h w 3, uint8; arbitrary where the model did not look."""
        return colour_table()[np.rint(np.nan_to_num(self.shares) * 255).astype(np.uint8)]

    @property
    def unseen(self) -> NDArray[np.bool_]:
        """h w: where the model did not look."""
        return np.isnan(self.shares)


def scale_of(explanation: Explanation) -> Scale | None:
    """The floor of a map and its 99.5th percentile; None if the map is constant or has no finite value."""
    finite = explanation.finite
    # A grid can vary where the image does not show it: in a single pixel, or in a padded border.
    if explanation.degenerate or finite.size == 0 or np.ptp(finite) == 0:
        return None
    low, high = explanation.floor, float(np.percentile(finite, _TOP))
    # A single hot spot can be smaller than the clipped half percent.
    return (low, high) if high > low else (low, float(finite.max()))


def shared_scale(explanations: Iterable[Explanation | None]) -> Scale | None:
    """One scale for the maps of a run, so that their colours can be compared; None if all of them are constant."""
    own_scales = [scale_of(explanation) for explanation in explanations if explanation is not None]
    scales = [scale for scale in own_scales if scale is not None]
    if not scales:
        return None
    return min(low for low, _ in scales), max(high for _, high in scales)


def format_scale(scale: Scale) -> tuple[str, str]:
    """Both ends in two digits; an end that is next to nothing against the range is "0"."""
    low, high = scale
    small = _ZERO * (high - low)
    return "0" if abs(low) < small else f"{low:.2g}", "0" if abs(high) < small else f"{high:.2g}"


def check_scale(scale: Scale | None) -> None:
    """Checks that a scale has an extent.

    Raises:
        DataError: the scale is not two finite numbers, the lower one first.
    """
    if scale is not None and not (len(scale) == 2 and np.isfinite(scale).all() and scale[0] < scale[1]):
        raise DataError(f"panel: scale must be two finite numbers, the lower one first, got {scale!r}")


@lru_cache(maxsize=1)
def colour_table() -> NDArray[np.uint8]:
    """256 3, uint8, from cold to hot: matplotlib's inferno: lightness rises evenly, for colour-blind readers too."""
    from matplotlib import colormaps

    table: NDArray[np.float64] = colormaps["inferno"](np.linspace(0, 1, 256))
    return np.rint(table[:, :3] * 255).astype(np.uint8)


def _resize(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Bilinear, with a hard edge around what the model did not see."""
    unseen = np.isnan(values)
    if not unseen.any():
        return _stretch(values, size)
    weight = _stretch((~unseen).astype(np.float32), size)
    weighted = _stretch(np.where(unseen, 0, values), size)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(weight >= 0.5, weighted / weight, np.nan).astype(np.float32)


def _stretch(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    image = Image.fromarray(values.astype(np.float32, copy=False))
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR))
