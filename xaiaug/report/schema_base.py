"""Base types of a report: rows, text, numbers and plain JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, JsonValue

from ..display.notebook_html import to_html


class Row(BaseModel):
    """Base of every part of a report: frozen, and unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def _repr_html_(self) -> str:
        return to_html(self)


def _encodable(value: Any) -> Any:
    # A reply may hold half a surrogate pair: a str for Python, but not writable as UTF-8.
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else value


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_encodable(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return _finite(_encodable(value))


Text = Annotated[str, BeforeValidator(_encodable)]
"""Any text, trusted or not: what cannot be written as UTF-8 is replaced."""

Number = Annotated[float | None, BeforeValidator(_finite)]
"""A number that may be undefined: None stands for NaN and infinity, which JSON lacks."""

Plain = Annotated[JsonValue, BeforeValidator(_plain)]
"""JSON-plain values; tuples become lists."""
