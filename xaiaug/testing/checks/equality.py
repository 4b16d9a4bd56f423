"""Whether two results are the same, and what an item looks like, byte for byte."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

# Sums in another order, as in batches of another size, differ in the last digits of a float32.
TOLERANCE = 1e-4


def same(one: Any, other: Any, tolerance: float = TOLERANCE) -> bool:  # noqa: PLR0911  a return a type
    """Whether two results are equal; floats within a tolerance relative to the largest value, pixels exactly."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return _close(one, other, tolerance)
    if isinstance(one, Image.Image):
        return content(one) == content(other)
    if dataclasses.is_dataclass(one):
        return all(
            same(getattr(one, field.name), getattr(other, field.name), tolerance) for field in dataclasses.fields(one)
        )
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key], tolerance) for key in one)
    if isinstance(one, Sequence) and not isinstance(one, str):
        return len(one) == len(other) and all(map(lambda a, b: same(a, b, tolerance), one, other))
    if isinstance(one, float):
        return bool(np.isclose(one, other, atol=tolerance, rtol=tolerance, equal_nan=True))
    return bool(one == other)


def content(item: Any) -> bytes:
    """All that an item holds, to tell whether it was changed."""
    if isinstance(item, np.ndarray):
        return repr((item.shape, item.dtype.str)).encode() + item.tobytes()
    if isinstance(item, Image.Image):
        return repr((item.mode, item.size)).encode() + item.tobytes()
    if dataclasses.is_dataclass(item):
        return b"".join(content(getattr(item, field.name)) for field in dataclasses.fields(item))
    if isinstance(item, list | tuple):
        return b"".join(map(content, item))
    return repr(item).encode()


def _close(one: Any, other: Any, tolerance: float) -> bool:
    if one.shape != other.shape:
        return False
    if not (np.issubdtype(one.dtype, np.floating) and np.issubdtype(other.dtype, np.floating)):
        return bool(np.array_equal(one, other))
    largest = float(np.nanmax(np.abs(one), initial=0.0)) if np.isfinite(one).any() else 0.0
    return bool(np.allclose(one, other, rtol=tolerance, atol=tolerance * max(largest, 1e-12), equal_nan=True))
