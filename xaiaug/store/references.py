"""Which files committed rows speak of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def references_in(value: Any) -> Iterator[tuple[str, Any]]:
    """The blobs ("blob", name) and models ("model", row) that committed rows speak of."""
    if isinstance(value, dict):
        if set(value) == {"blob"}:
            yield "blob", value["blob"]
        elif "folder" in value and "files" in value:
            yield "model", value
        else:
            for inner in value.values():
                yield from references_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references_in(inner)
