"""Round numbers along an axis."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Axis:
    """A straight axis from `low` to `high`, drawn over the pixels `start` to `end`.

    Attributes:
        ticks: round values inside the axis.
        decimals: digits after the point that tell the ticks apart.
    """

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    decimals: int

    @classmethod
    def around(cls, values: Iterable[float], start: float, end: float, most: int = 5) -> Axis:
        """An axis whose ends are round numbers that hold all the values, with at most `most` + 1 steps."""
        found = list(values) or [0.0, 1.0]
        low, high = min(found), max(found)
        if low == high:
            room = abs(low) / 10 or 0.5
            low, high = low - room, high + room
        step = _round_step((high - low) / most)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        ticks = tuple(number * step for number in range(first, last + 1))
        return cls(ticks[0], ticks[-1], start, end, ticks, max(0, -math.floor(math.log10(step) + 1e-9)))

    def place(self, value: float) -> float:
        """Where a value stands, in pixels to one decimal."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def label(self, value: float) -> str:
        """A tick's number."""
        return f"{value:.{self.decimals}f}"


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))
