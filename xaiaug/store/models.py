"""Folders of weights: written beside, digested, renamed."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import RunFolderError


@dataclass(frozen=True)
class ModelFolder:
    """A fitted classifier as a folder and the digests of its files.

    Attributes:
        folder: relative to the run folder, with forward slashes.
        files: SHA-256 of each file by its relative name.
    """

    folder: str
    files: dict[str, str]

    def to_row(self) -> dict[str, Any]:
        """JSON-plain, for the ledger."""
        return {"folder": self.folder, "files": self.files}


def write_model(run: Path, folder: str, save: Callable[[Path], None]) -> ModelFolder:
    """A model folder in a run: saved beside, then put in place of what was there.

    Raises:
        RunFolderError: it cannot be written.
    """
    target = run / folder
    beside = target.with_name(f".{target.name}.part")
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        save(beside)
        files = _digests(beside, sync=True)
        shutil.rmtree(target, ignore_errors=True)
        beside.replace(target)
    except OSError as error:
        raise RunFolderError(f"the model folder {target} cannot be written: {error.strerror or error}") from error
    return ModelFolder(folder, files)


def is_whole(run: Path, row: dict[str, Any]) -> bool:
    """Whether a model folder holds just the bytes that were written."""
    folder = run / row["folder"]
    return folder.is_dir() and bool(_digests(folder) == row["files"])


def _digests(folder: Path, *, sync: bool = False) -> dict[str, str]:
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            found[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
            if sync:
                os.fsync(file.fileno())
    return found
