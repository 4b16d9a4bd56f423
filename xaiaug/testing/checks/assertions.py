"""What checks assert with: conditions, and the equality of results."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from ...errors import CheckFailedError

# Sums in another order, as in batches of another size, differ in the last digits of a float32.
TOLERANCE = 1e-4


class NotApplicableError(Exception):
    """Raised by a check that turns out not to apply to the plugin, with the reason."""


def expect(condition: object, message: str) -> None:
    """Raises CheckFailedError unless the condition holds."""
    if not condition:
        raise CheckFailedError(message)


def equal(one: Any, other: Any, tolerance: float = TOLERANCE) -> bool:  # noqa: PLR0911  a return a type
    """Whether two results are equal: floats up to a tolerance relative to the largest value, pixels exactly."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return _arrays_equal(one, other, tolerance)
    if isinstance(one, Image.Image):
        return to_bytes(one) == to_bytes(other)
    if dataclasses.is_dataclass(one):
        return all(
            equal(getattr(one, field.name), getattr(other, field.name), tolerance) for field in dataclasses.fields(one)
        )
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(equal(one[key], other[key], tolerance) for key in one)
    if isinstance(one, Sequence) and not isinstance(one, str):
        return len(one) == len(other) and all(map(lambda a, b: equal(a, b, tolerance), one, other))
    if isinstance(one, float):
        return bool(np.isclose(one, other, atol=tolerance, rtol=tolerance, equal_nan=True))
    return bool(one == other)


def all_equal(some: Sequence[Any], others: Sequence[Any]) -> bool:
    """Whether two sequences have equal results in the same order."""
    return len(some) == len(others) and all(map(equal, some, others))


def to_bytes(item: Any) -> bytes:
    """The full content of an item, to find out whether it was changed."""
    if isinstance(item, np.ndarray):
        return repr((item.shape, item.dtype.str)).encode() + item.tobytes()
    if isinstance(item, Image.Image):
        return repr((item.mode, item.size)).encode() + item.tobytes()
    if dataclasses.is_dataclass(item):
        return b"".join(to_bytes(getattr(item, field.name)) for field in dataclasses.fields(item))
    if isinstance(item, list | tuple):
        return b"".join(map(to_bytes, item))
    return repr(item).encode()


def _arrays_equal(one: Any, other: Any, tolerance: float) -> bool:
    if one.shape != other.shape:
        return False
    if not (np.issubdtype(one.dtype, np.floating) and np.issubdtype(other.dtype, np.floating)):
        return bool(np.array_equal(one, other))
    largest = float(np.nanmax(np.abs(one), initial=0.0)) if np.isfinite(one).any() else 0.0
    return bool(np.allclose(one, other, rtol=tolerance, atol=tolerance * max(largest, 1e-12), equal_nan=True))
