"""Statistics of a heatmap alone: how spread it is, and how much outliers and the border hold."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..records import Explanation

_TOP = 0.01
_RING = 14  # the border is a fourteenth of the shorter side, one patch of a ViT at 224 pixels, and at least one cell


@dataclass(frozen=True)
class MapStatistics:
    """Statistics of one map; its positive part is taken as a distribution over its cells.

    Attributes:
        entropy: 0 (all in one cell) to 1 (the same in each).
        top_share: share of the hottest 1 % of the cells, at least one, 0 to 1. Large vision transformers grow outlier
            tokens that hold most of a map (arXiv 2309.16588).
        border_share: share of the outermost ring of cells, 0 to 1; of a constant map the ring's share of the cells.
            The ring is a fourteenth of the shorter side, so that maps of patches and of pixels can be compared.
        degenerate: whether the map holds no information; see `Explanation.degenerate`.

    The shares are NaN where nothing is positive.
    """

    entropy: float
    top_share: float
    border_share: float
    degenerate: bool


def summarize_map(explanation: Explanation) -> MapStatistics:
    """The statistics of a map, from its grid where it has one, else from the pixels that the model saw."""
    values = _crop_to_seen(explanation.heatmap) if explanation.grid is None else explanation.grid
    shares = _normalize(values)
    if shares is None:
        return MapStatistics(math.nan, math.nan, math.nan, explanation.degenerate)
    ordered = np.sort(shares[np.isfinite(shares)])
    top = ordered[-math.ceil(_TOP * ordered.size) :].sum()
    ring = max(1, round(min(shares.shape) / _RING))
    border = np.nansum(shares) - np.nansum(shares[ring:-ring, ring:-ring])
    return MapStatistics(_compute_entropy(ordered), _clip(top), _clip(border), explanation.degenerate)


def _normalize(values: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """The positive part, summing to one; None where nothing is positive."""
    shares = np.maximum(values.astype(np.float64), 0)
    total = np.nansum(shares)
    return shares / total if 0 < total < math.inf else None


def _crop_to_seen(heatmap: NDArray[np.float32]) -> NDArray[np.float32]:
    seen = ~np.isnan(heatmap)
    if not seen.any():
        return heatmap
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    return heatmap[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _compute_entropy(shares: NDArray[np.float64]) -> float:
    if shares.size == 1:
        return 0.0
    positive = shares[shares > 0]
    return _clip(-float((positive * np.log(positive)).sum()) / math.log(shares.size))


def _clip(value: float) -> float:
    return min(1.0, max(0.0, float(value)))  # against rounding
