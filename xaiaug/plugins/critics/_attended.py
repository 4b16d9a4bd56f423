"""What a model looked at: where a heatmap lies with regard to the subject."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...records import Explanation

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Attended:
    """Where a heatmap lies.

    Attributes:
        kind: "subject", "part" (of the subject), "background", "other" (both alike), or "unknown" without a map.
        mass: share of the heatmap on the subject, 0 to 1.
        area: share of what the model saw that is subject, 0 to 1.
    """

    kind: str = "unknown"
    mass: float = 0.0
    area: float = 0.0


def attended(explanation: Explanation | None, mask: Floats) -> Attended:
    """Compares the heatmap's share on the subject (`mask`, h w, 0 to 1) with the subject's share of the area.

    The odds of the one must be 1.5 times those of the other to count: a flat map over a large subject is no
    evidence that the model looked at it. A map is on a part when half of what lies on the subject lies on less than
    a sixth of it.
    """
    if explanation is None or explanation.degenerate:
        return Attended()
    seen, heat = _shrunk(explanation, mask.shape)
    weight, total = heat * seen, float((heat * seen).sum())
    if total <= 0:
        return Attended()
    mass, area = float((weight * mask).sum()) / total, float((seen * mask).sum() / seen.sum())
    lift = _log_odds(mass) - _log_odds(area)
    if abs(lift) < np.log(1.5):
        return Attended("other", mass, area)
    if lift < 0:
        return Attended("background", mass, area)
    return Attended("part" if _concentration(weight * mask, seen * mask) < 1 / 6 else "subject", mass, area)


def _shrunk(explanation: Explanation, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    """How far each pixel of the small image was seen, and the heat there, from 0 up: h w each."""
    finite = np.isfinite(explanation.heatmap)
    filled = np.where(finite, np.maximum(explanation.heatmap - explanation.floor, 0), 0)
    size = (shape[1], shape[0])
    seen, heat = (
        np.asarray(Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BOX))
        for values in (finite, filled)
    )
    return seen, heat / np.maximum(seen, 1e-6)


def _log_odds(share: float) -> float:
    share = min(max(share, 1e-3), 1 - 1e-3)
    return float(np.log(share / (1 - share)))


def _concentration(weight: Floats, area: Floats) -> float:
    """Share of the area that holds the heavier half of the weight, 0 to 1."""
    order = np.argsort(weight, axis=None)[::-1]
    held = np.cumsum(weight.ravel()[order])
    half = int(np.searchsorted(held, held[-1] / 2)) + 1
    return float(area.ravel()[order][:half].sum() / max(float(area.sum()), 1e-9))
