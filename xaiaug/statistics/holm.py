"""Holm's correction for several contrasts: adjusted p-values, and intervals widened to agree with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class AdjustedContrast:
    """One contrast after the correction.

    Attributes:
        p: the adjusted p-value; below 0.05 where the interval at `level` excludes 0.
        level: the level of the widened interval.
    """

    p: float
    level: float


def holm_adjust(p_values: Sequence[float], alpha: float = 0.05) -> list[AdjustedContrast]:
    """The adjusted p-value and widened level of each contrast, in the given order.

    Holm compares the smallest p-value with alpha / m, the next with alpha / (m − 1), and stops at the first that is
    larger. A contrast rejected at a step gets the interval of that step; the others get that of the step where Holm
    stopped.
    """
    count = len(p_values)
    order = sorted(range(count), key=lambda i: p_values[i])
    contrasts: list[AdjustedContrast] = [AdjustedContrast(1.0, 1 - alpha)] * count
    adjusted, stopped = 0.0, 0
    for rank, i in enumerate(order):
        adjusted = max(adjusted, min(1.0, (count - rank) * p_values[i]))
        stopped = stopped or (count - rank if adjusted > alpha else 0)
        contrasts[i] = AdjustedContrast(adjusted, 1 - alpha / (stopped or count - rank))
    return contrasts
