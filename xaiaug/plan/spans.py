"""Arithmetic of ranges (low, high) with nothing below 0; None is a range that nobody knows."""

from __future__ import annotations

from collections.abc import Iterable

from ..records.estimate import Range

NOTHING: Range = (0, 0)


def added(ranges: Iterable[Range]) -> Range:
    """The sum."""
    low, high = 0.0, 0.0
    for one in ranges:
        low, high = low + one[0], high + one[1]
    return low, high


def added_known(ranges: Iterable[Range | None]) -> Range | None:
    """The sum; None where a part is not known."""
    parts = list(ranges)
    known = [part for part in parts if part is not None]
    return added(known) if len(known) == len(parts) else None


def times(one: Range, other: Range | float) -> Range:
    """The product with a range or a number."""
    low, high = other if isinstance(other, tuple) else (other, other)
    return one[0] * low, one[1] * high


def times_known(one: Range, other: Range | None) -> Range | None:
    """The product; of nothing it is nothing, whatever the other."""
    if one[1] == 0:
        return NOTHING
    return None if other is None else times(one, other)


def at_most(one: Range, most: float) -> Range:
    """The range, cut at `most`."""
    return min(one[0], most), min(one[1], most)
