"""What part of an image a processor keeps, found by asking it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...errors import ConfigError

Box = tuple[float, float, float, float]
_HALF_WIDTHS = (0.25, 0.15, 0.08, 0.04)  # of the pair of bands from the middle, in shorter sides of the image
_FEW = 8  # pixels in which no place can be told, nor needs to be


def find_seen_box(process: Callable[[NDArray[np.uint8]], Tensor], size: tuple[int, int]) -> Box:
    """What a processor keeps of an image of that size: x0 y0 x1 y1 in pixels of the original; padding lies outside it.

    Two bands of an image are changed, one at a time; where they appear in the output gives its scale and its place.

    Args:
        process: what it makes of an image h w c, uint8: 1 c h w.
        size: width and height of the image.

    Raises:
        ConfigError: a change in the image does not appear in one place of the output.
    """
    x0, x1 = _find_span(process, size, axis=1)
    y0, y1 = _find_span(process, size, axis=0)
    return x0, y0, x1, y1


def _find_span(process: Callable[[NDArray[np.uint8]], Tensor], size: tuple[int, int], axis: int) -> tuple[float, float]:
    """From where to where the output lies along an axis of the image."""
    grey = np.full((size[1], size[0], 3), 128, np.uint8)
    plain, length, short = process(grey), grey.shape[axis], min(size)
    if length < _FEW:
        return 0.0, float(length)
    for half in _HALF_WIDTHS:
        thick = max(1, round(half * short / 2))
        starts = [round(length / 2 + sign * half * short - thick / 2) for sign in (-1, 1)]
        starts = [min(max(0, start), length - thick) for start in starts]
        if starts[0] == starts[1]:
            continue
        found = []
        for start in starts:
            changed = grey.copy()
            changed[(slice(None),) * axis + (slice(start, start + thick),)] = 255
            found.append(_find_middle(process(changed) - plain, axis))
        first, second = found
        if first is None or second is None or abs(second - first) < 1:
            continue
        scale = (second - first) / (starts[1] - starts[0])
        begin = starts[0] + thick / 2 - first / scale
        return _snap(begin, length, scale), _snap(begin + plain.shape[2 + axis] / scale, length, scale)
    raise ConfigError(
        f"TransformersClassifier: the checkpoint's image processor does not show what part of an image of {size[0]} x"
        f" {size[1]} pixels it keeps; pass the network to TorchClassifier, with a preprocess that returns Prepared"
    )


def _find_middle(change: Tensor, axis: int) -> float | None:
    """Where a change of the output lies along an axis, in pixels from its edge; None where there is none."""
    profile = change.abs().sum((0, 1)).sum(1 - axis).double().numpy()
    if profile.max() < 1e-6:
        return None
    profile = np.clip(profile - profile.max() / 20, 0, None)
    return float((profile * (np.arange(len(profile)) + 0.5)).sum() / profile.sum())


def _snap(edge: float, length: int, scale: float) -> float:
    """An edge that is the image's own to a quarter of a pixel of the output."""
    for end in (0.0, float(length)):
        if abs(edge - end) * abs(scale) < 0.25:
            return end
    return edge
