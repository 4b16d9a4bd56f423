"""Several contrasts at once: Holm's p-values, and intervals widened in the same steps, so that both say the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class AdjustedContrast:
    """One contrast within its family.

    Attributes:
        p: adjusted by Holm's method; below 0.05 where the interval of `level` excludes 0.
        level: of the widened interval.
    """

    p: float
    level: float


def holm_adjust(p_values: Sequence[float], alpha: float = 0.05) -> list[AdjustedContrast]:
    """Adjusted p-value and widened level of each contrast, in the given order.

    Holm compares the smallest p-value with alpha / m, the next with alpha / (m − 1), and stops at the first that is
    larger. A contrast rejected at its step has the interval of that step; the others have that of the step where it
    stopped.
    """
    count = len(p_values)
    order = sorted(range(count), key=lambda i: p_values[i])
    found: list[AdjustedContrast] = [AdjustedContrast(1.0, 1 - alpha)] * count
    adjusted, stopped = 0.0, 0
    for rank, i in enumerate(order):
        adjusted = max(adjusted, min(1.0, (count - rank) * p_values[i]))
        stopped = stopped or (count - rank if adjusted > alpha else 0)
        found[i] = AdjustedContrast(adjusted, 1 - alpha / (stopped or count - rank))
    return found
