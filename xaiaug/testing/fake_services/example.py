"""Makes an example that satisfies a JSON schema, the same one every time."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from ...errors import ConfigError

Schema = Mapping[str, Any]
DEEPEST = 8
WORD = "text"
FORMATS = {
    "date": "2020-01-01",
    "date-time": "2020-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def make_example(schema: Schema) -> Any:
    """A value that satisfies the schema: first choice, smallest number, fewest items, every property.

    Raises:
        ConfigError: the schema requires something that no simple rule satisfies, such as a pattern.
    """
    return _example(schema, schema, 0)


def _example(schema: Schema, root: Schema, depth: int) -> Any:
    schema = _merge(schema, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        # Deep down the last choice ends a recursion: for an optional field it is null.
        rest = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")}
        return _example({"allOf": [rest, choices[-1 if depth > DEEPEST else 0]]}, root, depth + 1)
    return _of_type(schema, root, depth)


def _merge(schema: Schema, root: Schema) -> Schema:
    """The schema with its reference resolved and the parts of `allOf` merged."""
    parts = [_resolve(schema["$ref"], root)] if "$ref" in schema else []
    parts += schema.get("allOf", [])
    if not parts:
        return schema
    merged: dict[str, Any] = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
    for part in (_merge(part, root) for part in parts):
        properties = {**merged.get("properties", {}), **part.get("properties", {})}
        required = [*merged.get("required", []), *part.get("required", [])]
        merged = {**merged, **part, "properties": properties, "required": required}
    return merged


def _resolve(reference: str, root: Schema) -> Any:
    target: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        target = target[step] if step else target
    return target


def _of_type(schema: Schema, root: Schema, depth: int) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "null")
    if isinstance(kind, list):
        kind = kind[0]
    match kind:
        case "object":
            return _object(schema, root, depth)
        case "array":
            return _array(schema, root, depth)
        case "string":
            return _text(schema)
        case "integer" | "number":
            return _number(schema, kind)
        case "boolean":
            return False
        case _:
            return None


def _object(schema: Schema, root: Schema, depth: int) -> dict[str, Any]:
    required = schema.get("required", [])
    names = [name for name in schema.get("properties", {}) if depth <= DEEPEST or name in required]
    return {name: _example(schema["properties"][name], root, depth + 1) for name in names}


def _array(schema: Schema, root: Schema, depth: int) -> list[Any]:
    first = [_example(item, root, depth + 1) for item in schema.get("prefixItems", [])]
    wanted = schema.get("minItems", 0 if depth > DEEPEST else min(1, schema.get("maxItems", 1)))
    more = [_example(schema["items"], root, depth + 1) for _ in range(wanted - len(first)) if schema.get("items")]
    return first + more


def _text(schema: Schema) -> str:
    word = FORMATS.get(schema.get("format", ""), WORD)
    word = word.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength")]
    pattern = schema.get("pattern")
    if pattern and not re.search(pattern, word):
        raise ConfigError(
            f"Loopback: there is no example for the pattern {pattern!r} of the request's schema; "
            "give the value in the script, as in Reply(json={...})"
        )
    return word


def _number(schema: Schema, kind: str) -> float:
    step = schema.get("multipleOf", 1 if kind == "integer" else 0)
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    least: float = low if low is not None else min(0, high if high is not None else 0)
    if step:
        least = math.ceil(least / step) * step
    if "exclusiveMinimum" in schema and least <= schema["exclusiveMinimum"]:
        least = least + step if step else _between(least, high)
    if "exclusiveMaximum" in schema and least >= schema["exclusiveMaximum"]:
        least = least - (step or 1)
    return least


def _between(low: float, high: float | None) -> float:
    return low + 1 if high is None else (low + high) / 2
