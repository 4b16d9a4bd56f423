"""The state of a saved classifier beside its weights, as JSON: parameters, labels and more."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import DataError

STATE = "xaiaug.json"


def write_state(folder: str | Path, state: Mapping[str, Any]) -> None:
    """Writes the state into a folder, which is made where it is missing."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    Path(folder, STATE).write_text(json.dumps(state, indent=2, sort_keys=True), encoding="utf-8")


def read_state(folder: str | Path, reader: type) -> dict[str, Any]:
    """The state that `write_state` wrote.

    Raises:
        DataError: it is missing or damaged.
    """
    path = Path(folder, STATE)
    if not path.is_file():
        raise DataError(f"{reader.__name__}: {str(folder)!r} holds no {STATE}; give a folder that save wrote")
    try:
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{reader.__name__}: {str(path)!r} is damaged: {error}; save the classifier again") from error
    return state


def digest_folder(folder: Path) -> str:
    """A digest of the settings and weights in a folder; what xaiaug noted of a training beside them aside."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.json")) + sorted(folder.glob("*.safetensors")):
        if path.name != STATE:
            digest.update(path.name.encode())
            digest.update(_hash_file(path, *_stamp(path)))
    return digest.hexdigest()[:16]


def _stamp(path: Path) -> tuple[int, ...]:
    seen = path.stat()
    return seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino


@functools.cache
def _hash_file(path: Path, *stamp: int) -> bytes:  # noqa: ARG001  (the stamp is part of the cache's key)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
