"""Estimates of the calls, tokens and bytes of planned work, and the arithmetic of their ranges."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """What a plugin's work on some items will take; ranges are (low, high), over all items.

    Attributes:
        calls: calls to an outside service, including repairs and second turns.
        input_tokens: tokens sent, including images.
        output_tokens: tokens received.
        model: the model's name in price lists; None if the work is free.
        receiver: host that receives the uploads, such as "api.anthropic.com"; empty if nothing is uploaded.
        upload_bytes: bytes uploaded.
        licence: of the weights in use; empty if there are none or it is unknown.
        disk_bytes: bytes of the results as files; of a classifier: one copy of its weights. (0, 0) if unknown.
        batched: whether the calls are sent in batches, at half the price and answered within a day.
        second: the estimate of a second plugin that takes the items this one's service declines: its receiver and
            model without amounts, which cannot be predicted.
        input_image_tokens: those of `input_tokens` that are of images, for services with another price for them.
        output_image_tokens: the same of `output_tokens`.
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
    input_image_tokens: Range = (0, 0)
    output_image_tokens: Range = (0, 0)


ZERO: Range = (0, 0)


def add_ranges(ranges: Iterable[Range]) -> Range:
    """The sum."""
    low, high = 0.0, 0.0
    for part in ranges:
        low, high = low + part[0], high + part[1]
    return low, high


def add_optional(ranges: Iterable[Range | None]) -> Range | None:
    """The sum; None if any part is unknown."""
    parts = list(ranges)
    known = [part for part in parts if part is not None]
    return add_ranges(known) if len(known) == len(parts) else None


def multiply(one: Range, other: Range | float) -> Range:
    """The product with a range or a number."""
    low, high = other if isinstance(other, tuple) else (other, other)
    return one[0] * low, one[1] * high


def multiply_optional(one: Range, other: Range | None) -> Range | None:
    """The product; None if `other` is unknown, but zero if `one` is zero."""
    if one[1] == 0:
        return ZERO
    return None if other is None else multiply(one, other)


def cap_range(values: Range, most: float) -> Range:
    """The range with both ends capped at `most`."""
    return min(values[0], most), min(values[1], most)
