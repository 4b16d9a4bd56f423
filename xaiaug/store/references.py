"""Which files committed rows speak of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ..errors import RunFolderError
from .blobs import is_blob_name
from .run_files import MODELS, NOT_OURS

_DIGEST = re.compile(r"[0-9a-f]{64}")


def references_in(value: Any) -> Iterator[tuple[str, Any]]:
    """The blobs ("blob", name) and models ("model", row) that committed rows speak of.

    Raises:
        RunFolderError: they name what no run writes.
    """
    if isinstance(value, dict):
        if set(value) == {"blob"}:
            yield "blob", _check(value["blob"], is_blob_name(value["blob"]))
        elif "folder" in value and "files" in value:
            yield "model", _check(value, _is_model(value))
        else:
            for inner in value.values():
                yield from references_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references_in(inner)


def _check(value: Any, sound: bool) -> Any:
    if not sound:
        raise RunFolderError(f"the ledger names the file {str(value)[:200]!r}: {NOT_OURS}")
    return value


def _is_model(value: dict[str, Any]) -> bool:
    folder, files = value["folder"], value["files"]
    if not isinstance(folder, str) or not isinstance(files, dict) or not folder.startswith(f"{MODELS}/"):
        return False
    return all(isinstance(found, str) and _DIGEST.fullmatch(found) for found in files.values()) and all(
        {"", ".", ".."}.isdisjoint(name.split("/")) for name in (folder, *files)
    )
