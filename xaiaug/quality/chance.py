"""Maps of chance: what every heatmap must be better than."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..records import Explanation

_CELLS = (7, 7)  # of the chance maps for a method without a grid


def chance_maps(image: Image.Image, explanation: Explanation, seed: int) -> Iterator[NDArray[np.float32]]:
    """Endless maps of uniform noise at the grid's resolution, placed where the model saw the image: h w, NaN elsewhere.

    They depend on the image, the shape of the grid and the seed alone: on one image, methods with equal grids are
    compared with the same maps, whatever the batch.
    """
    seen = ~np.isnan(explanation.heatmap)
    cells = _CELLS if explanation.grid is None else explanation.grid.shape
    rng = np.random.default_rng([seed, zlib.crc32(image.tobytes())])
    while True:
        yield _placed(rng.random(cells, dtype=np.float32), seen)


def _placed(grid: NDArray[np.float32], seen: NDArray[np.bool_]) -> NDArray[np.float32]:
    placed = np.full(seen.shape, np.nan, np.float32)
    if seen.any():
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        stretched = Image.fromarray(grid).resize((int(right - left), int(bottom - top)), Image.Resampling.BILINEAR)
        placed[top:bottom, left:right] = np.asarray(stretched)
    placed[~seen] = np.nan
    return placed
