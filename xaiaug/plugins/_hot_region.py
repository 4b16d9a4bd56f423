"""The region off the subject that a heatmap marks most: the smallest window that holds much of the heat there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..records import Explanation, Failure

Floats = NDArray[np.float32]

SIDE = 128  # longer side, in pixels, at which windows are compared
SIZES = 6  # of windows, from the smallest to the largest
ASPECTS = (1.0, 1.5, 1 / 1.5)  # width over height, in order of preference
MARGIN = 0.1  # by which a window grows at each side, in shares of its own: maps are coarse, and marks have edges
ATTEMPTS = 50  # random windows that are tried for one off the subject


@dataclass(frozen=True)
class RegionOptions:
    """What counts as a hot region.

    Attributes:
        heat: share of the heat off the subject that a region should hold, above 0 to 1.
        area: share of the image that a region has at least and at most.
        contrast: least ratio of the mean heat off the subject in the region to the mean over the image.
    """

    heat: float = 0.5
    area: tuple[float, float] = (0.06, 0.1)
    contrast: float = 2.0


@dataclass(frozen=True)
class Region:
    """A window in an image, in shares of its width and height.

    Attributes:
        left, top, right, bottom: its sides, 0 to 1.
        heat: share of the heat off the subject that it holds; None where no map was shown.
        contrast: mean heat in it over the mean of the image; None likewise.
    """

    left: float
    top: float
    right: float
    bottom: float
    heat: float | None = None
    contrast: float | None = None

    def box(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Left, top, right and bottom in pixels of an image of that width and height; at least two pixels a side."""
        left, right = _span(self.left, self.right, size[0])
        top, bottom = _span(self.top, self.bottom, size[1])
        return left, top, right, bottom


def find_region(explanation: Explanation, subject: Floats, options: RegionOptions) -> Region | Failure:
    """The smallest window that holds enough of the heat off the subject, else the hottest of the largest ones.

    It is found tighter than its area, and grown.

    A Failure where the map is constant or no window stands out ("flat-map"), or where the heat lies on the subject
    ("map-on-subject").

    Args:
        explanation: of the image.
        subject: h w, of the image's size, how much each pixel belongs to the subject, 0 to 1.
        options: what counts.
    """
    if explanation.degenerate:
        return Failure("flat-map", "the heatmap is constant, zero or not finite")
    seen = np.isfinite(explanation.heatmap)
    heat = np.where(seen, np.maximum(np.nan_to_num(explanation.heatmap) - explanation.floor, 0), 0).astype(np.float32)
    heat, off, area = (_shrink(values) for values in (heat, heat * (1 - subject), seen.astype(np.float32)))
    total, mean = float(off.sum()), float(heat.sum() / area.sum())
    if total <= 0 or mean <= 0:
        return Failure("map-on-subject", "no heat lies off the subject")
    window, inside = _smallest_window(off, total, options)
    contrast = inside / ((window[2] - window[0]) * (window[3] - window[1])) / mean
    if contrast < options.contrast:
        flat = float((_shrink(1 - subject) * area).sum() / area.sum())
        return _explain_failure(total / float(heat.sum()), flat, contrast, options)
    return Region(*_grow(window, off.shape), heat=min(1.0, inside / total), contrast=contrast)


def draw_region(subject: Floats, options: RegionOptions, seed: int) -> Region:
    """A random window mostly off the subject, of middle size; where there is none, the one with least of the subject.

    Args:
        subject: h w, 0 to 1.
        options: of which the sizes count.
        seed: decides the place.
    """
    rng, side = np.random.default_rng(seed), float(np.sqrt(sum(options.area) / 2))
    height, width = subject.shape
    least, best = np.inf, Region(0.0, 0.0, side, side)
    for _ in range(ATTEMPTS):
        left, top = rng.uniform(0, 1 - side, 2)
        region = Region(float(left), float(top), float(left) + side, float(top) + side)
        x0, y0, x1, y1 = region.box((width, height))
        covered = float(subject[y0:y1, x0:x1].mean())
        if covered < least:
            least, best = covered, region
        if covered < 0.5:
            return region
    return best


def _explain_failure(off: float, flat: float, contrast: float, options: RegionOptions) -> Failure:
    """Why a map has no region: `off` of its heat lies off the subject, where a flat map has `flat`."""
    if off < flat:
        return Failure(
            "map-on-subject",
            f"the map lies on the subject: {off:.0%} of its heat is off it, where a flat map has {flat:.0%}, and no "
            f"window there is hot ({contrast:.1f} times the mean, least {options.contrast:g})",
        )
    return Failure(
        "flat-map",
        f"no place off the subject stands out: the hottest window has {contrast:.1f} times the mean heat, least "
        f"{options.contrast:g}",
    )


def _smallest_window(off: Floats, total: float, options: RegionOptions) -> tuple[tuple[int, int, int, int], float]:
    """Left, top, right and bottom of the window in cells of `off`, and the heat in it."""
    sums = np.pad(off, ((1, 0), (1, 0))).cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
    for share in np.geomspace(*options.area, SIZES) / (1 + 2 * MARGIN) ** 2:
        found = [_hottest_window(sums, share, aspect) for aspect in ASPECTS]
        best = max(found, key=lambda one: one[1])
        if best[1] >= options.heat * total:
            break
    return best


def _hottest_window(sums: NDArray[np.float64], share: float, aspect: float) -> tuple[tuple[int, int, int, int], float]:
    """The hottest window with that share of the area, by an integral image."""
    height, width = sums.shape[0] - 1, sums.shape[1] - 1
    high = int(np.clip(round(height * float(np.sqrt(share / aspect))), 1, height))
    wide = int(np.clip(round(width * float(np.sqrt(share * aspect))), 1, width))
    inside = sums[high:, wide:] - sums[:-high, wide:] - sums[high:, :-wide] + sums[:-high, :-wide]
    top, left = (int(place) for place in np.unravel_index(int(inside.argmax()), inside.shape))
    return (left, top, left + wide, top + high), float(inside[top, left])


def _grow(window: tuple[int, int, int, int], shape: tuple[int, ...]) -> tuple[float, float, float, float]:
    """The window with its margin, in shares of the image, cut at the image's border."""
    (left, top, right, bottom), (height, width) = window, shape
    across, down = MARGIN * (right - left), MARGIN * (bottom - top)
    return (
        max(0.0, (left - across) / width),
        max(0.0, (top - down) / height),
        min(1.0, (right + across) / width),
        min(1.0, (bottom + down) / height),
    )


def _shrink(values: Floats) -> Floats:
    """The values, h w, at most `SIDE` pixels a side; means over the pixels that become one."""
    scale = SIDE / max(values.shape)
    if scale >= 1:
        return values.astype(np.float32)
    size = (max(1, round(values.shape[1] * scale)), max(1, round(values.shape[0] * scale)))
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BOX))


def _span(low: float, high: float, length: int) -> tuple[int, int]:
    first = min(max(0, round(low * length)), max(0, length - 2))
    return first, min(length, max(round(high * length), first + 2))
