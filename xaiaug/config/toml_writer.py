"""Tables of settings are merged, and written as TOML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def merge_tables(base: Mapping[str, Any], further: Mapping[str, Any]) -> dict[str, Any]:
    """Two sets of tables as one; where both have a key, `further` wins."""
    result = dict(base)
    for key, value in further.items():
        old = result.get(key)
        result[key] = merge_tables(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def to_toml(tables: Mapping[str, Any]) -> str:
    """Tables of plain values as TOML; a key whose value is None is left out."""
    blocks = []
    for name, table in tables.items():
        lines = [f"{_key(key)} = {_value(value)}" for key, value in table.items() if value is not None]
        if lines:
            blocks.append("\n".join([f"[{_key(name)}]", *lines]))
    return "\n\n".join(blocks) + "\n"


def _key(name: str) -> str:
    return name if name.replace("_", "a").replace("-", "a").isalnum() and name.isascii() else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return (
            "{" + ", ".join(f"{_key(key)} = {_value(inner)}" for key, inner in value.items() if inner is not None) + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(inner) for inner in value) + "]"
    # JSON's strings, numbers and booleans are TOML's too, but for characters TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
