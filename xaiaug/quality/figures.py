"""What a heatmap shows of itself: how spread it is, and whether outliers or the border hold it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..records import Explanation

_TOP = 0.01
_RING = 14  # the border of a map without a grid is a fourteenth of each side, one patch of a ViT at 224 pixels


@dataclass(frozen=True)
class MapFigures:
    """Figures of one map; its positive part is read as a distribution over its cells.

    Attributes:
        entropy: 0 (all in one cell) to 1 (the same in each).
        top_share: share of the hottest 1 % of the cells, at least one, 0 to 1. Large vision transformers grow outlier
            tokens that hold most of a map (arXiv 2309.16588).
        border_share: share of the outermost ring of cells, 0 to 1; a constant map has as much as the ring has cells.
        degenerate: whether the map says nothing; see `Explanation.degenerate`.

    The shares are NaN where nothing is positive.
    """

    entropy: float
    top_share: float
    border_share: float
    degenerate: bool


def figures(explanation: Explanation) -> MapFigures:
    """The figures of a map, from its grid where it has one, else from the pixels that the model saw."""
    shares, ring = _shares(explanation)
    if shares is None:
        return MapFigures(math.nan, math.nan, math.nan, explanation.degenerate)
    values = np.sort(shares[np.isfinite(shares)])
    top = values[-math.ceil(_TOP * values.size) :].sum()
    border = np.nansum(shares) - np.nansum(shares[ring:-ring, ring:-ring])
    return MapFigures(_entropy(values), _share(top), _share(border), explanation.degenerate)


def _shares(explanation: Explanation) -> tuple[NDArray[np.float64] | None, int]:
    """The positive part, summing to one, with the width of its border; None where nothing is positive."""
    values, ring = explanation.grid, 1
    if values is None:
        values = _seen_box(explanation.heatmap)
        ring = max(1, round(min(values.shape) / _RING))
    shares = np.maximum(values.astype(np.float64), 0)
    total = np.nansum(shares)
    return (shares / total, ring) if 0 < total < math.inf else (None, ring)


def _seen_box(heatmap: NDArray[np.float32]) -> NDArray[np.float32]:
    seen = ~np.isnan(heatmap)
    if not seen.any():
        return heatmap
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    return heatmap[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _entropy(shares: NDArray[np.float64]) -> float:
    if shares.size == 1:
        return 0.0
    positive = shares[shares > 0]
    return _share(-float((positive * np.log(positive)).sum()) / math.log(shares.size))


def _share(value: float) -> float:
    return min(1.0, max(0.0, float(value)))  # rounding
