"""Scales a method's grid to a heatmap on the original image."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def place(grid: NDArray[np.float32], box: Sequence[float], size: tuple[int, int]) -> NDArray[np.float32]:
    """The grid scaled to the part of the image that the model saw, with bilinear interpolation.

    Args:
        grid: gh gw, one value per cell.
        box: x0 y0 x1 y1 of that part, in pixels of the image; it may reach beyond the image where that was padded.
        size: width and height of the image.

    Returns:
        h w, float32; NaN at pixels whose centre the model did not see.
    """
    x0, y0, x1, y1 = (float(edge) for edge in box)
    down, seen_down = _interpolate(y0, y1, size[1], grid.shape[0])
    across, seen_across = _interpolate(x0, x1, size[0], grid.shape[1])
    heatmap = down @ np.asarray(grid, np.float32) @ across.T
    heatmap[~seen_down] = np.nan
    heatmap[:, ~seen_across] = np.nan
    return heatmap


@functools.lru_cache(maxsize=64)  # the masks of an image, and the images of a data set, share their sizes
def _interpolate(start: float, end: float, pixels: int, cells: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The weight of each cell at each pixel along one side: pixels cells; and which pixels were seen: pixels."""
    centres = np.arange(pixels) + 0.5
    position = (centres - start) / (end - start) * cells - 0.5
    left = np.clip(np.floor(position).astype(int), 0, cells - 1)
    right = np.minimum(left + 1, cells - 1)
    share = np.clip(position - left, 0, 1)
    weights = np.zeros((pixels, cells), np.float32)
    np.add.at(weights, (np.arange(pixels), left), 1 - share)
    np.add.at(weights, (np.arange(pixels), right), share)
    seen = (centres >= start) & (centres <= end)
    weights.flags.writeable = seen.flags.writeable = False
    return weights, seen
