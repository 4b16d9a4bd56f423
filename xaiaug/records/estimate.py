"""What work will take, said before any of it is done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """What a plugin's work on some items will take; ranges are (low, high), over all of the items.

    Attributes:
        calls: calls to an outside service, repairs and second turns included.
        input_tokens: tokens it is sent, images included.
        output_tokens: tokens it answers with.
        model: the name a price list knows the model by; None where nothing costs money.
        receiver: who gets what is sent, such as "api.anthropic.com"; empty where nothing leaves the machine.
        upload_bytes: bytes that leave the machine.
        licence: of the weights in use; empty where there are none or nobody said.
        disk_bytes: bytes that the results take as files; of a classifier: one copy of its weights. (0, 0) where nobody
            said.
        batched: whether the calls are sent in batches: at half the price, and answered within a day.
        second: of a further plugin that takes what this one's service declines: who that is and what is billed, without
            amounts, since nobody knows how much that will be.
    """

    calls: Range = (0, 0)
    input_tokens: Range = (0, 0)
    output_tokens: Range = (0, 0)
    model: str | None = None
    receiver: str = ""
    upload_bytes: Range = (0, 0)
    licence: str = ""
    disk_bytes: Range = (0, 0)
    batched: bool = False
    second: Estimate | None = None


ZERO: Range = (0, 0)


def add_ranges(ranges: Iterable[Range]) -> Range:
    """The sum."""
    low, high = 0.0, 0.0
    for one in ranges:
        low, high = low + one[0], high + one[1]
    return low, high


def add_optional(ranges: Iterable[Range | None]) -> Range | None:
    """The sum; None where a part is not known."""
    parts = list(ranges)
    known = [part for part in parts if part is not None]
    return add_ranges(known) if len(known) == len(parts) else None


def multiply(one: Range, other: Range | float) -> Range:
    """The product with a range or a number."""
    low, high = other if isinstance(other, tuple) else (other, other)
    return one[0] * low, one[1] * high


def multiply_optional(one: Range, other: Range | None) -> Range | None:
    """The product; of nothing it is nothing, whatever the other."""
    if one[1] == 0:
        return ZERO
    return None if other is None else multiply(one, other)


def cap_range(one: Range, most: float) -> Range:
    """The range, cut at `most`."""
    return min(one[0], most), min(one[1], most)
