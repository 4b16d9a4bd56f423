"""Scores a map against a mask of the subject: pointing game and energy-based pointing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

Mask = NDArray[np.float32]


def check_mask(mask: Any, shape: tuple[int, ...]) -> Mask:
    """A mask as numbers: 1 on the subject, 0 off it, NaN where undecided.

    Raises:
        DataError: another shape, or other values.
    """
    values = np.asarray(mask).astype(np.float32)
    if values.shape != shape:
        raise DataError(f"faithfulness: a mask must have the size of its image, {shape} (h w), got {values.shape}")
    decided = values[~np.isnan(values)]
    if not np.isin(decided, (0, 1)).all():
        raise DataError(
            "faithfulness: a mask must be boolean, or hold 1 on the subject, 0 off it and NaN where undecided; got "
            f"values up to {decided.max():g}. Compare it with a number first, such as `mask == 1`"
        )
    return values


def score_pointing(heatmap: NDArray[np.float32], mask: Mask, tolerance: int) -> float:
    """Pointing game (arXiv 1608.00507): whether the hottest pixel lies on the subject, 0 or 1.

    Equally hot pixels share the score: a constant map scores like a random guess. NaN where the model saw none
    of the subject.

    Args:
        heatmap: h w, NaN where not seen.
        mask: h w, as `check_mask` returns it; undecided pixels do not count.
        tolerance: pixels by which the hottest one may miss the subject, ≥ 0.
    """
    counted = ~np.isnan(heatmap) & ~np.isnan(mask)
    if not (counted & (mask == 1)).any():
        return float("nan")
    hottest = counted & (heatmap == heatmap[counted].max())
    return float(_dilate(mask == 1, tolerance)[hottest].mean())


def score_energy(heatmap: NDArray[np.float32], mask: Mask) -> float:
    """Energy-based pointing game (Score-CAM, arXiv 1910.01279): share of the positive part on the subject, 0 to 1.

    A map without a positive part counts as constant. NaN where the model saw none of the subject.

    Args:
        heatmap: h w, NaN where not seen.
        mask: h w, as `check_mask` returns it; undecided pixels count on neither side.
    """
    counted = ~np.isnan(heatmap) & ~np.isnan(mask)
    inside = mask[counted] == 1
    if not inside.any():
        return float("nan")
    positive = np.maximum(heatmap[counted].astype(np.float64), 0)
    total = positive.sum()
    return float(min(1.0, positive[inside].sum() / total)) if total else float(inside.mean())


def _dilate(inside: NDArray[np.bool_], tolerance: int) -> NDArray[np.bool_]:
    if not tolerance:
        return inside
    from scipy.ndimage import distance_transform_edt

    return np.asarray(distance_transform_edt(~inside) <= tolerance)
