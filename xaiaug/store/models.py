"""Folders of weights: written beside, digested, renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import RunFolderError
from .file_stamps import sha256


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
        files = {path.relative_to(beside).as_posix(): _sync_and_digest(path) for path in _files(beside)}
        shutil.rmtree(target, ignore_errors=True)
        beside.replace(target)
    except OSError as error:
        raise RunFolderError(f"the model folder {target} cannot be written: {error.strerror or error}") from error
    return ModelFolder(folder, files)


def is_intact(run: Path, row: dict[str, Any], digest: Callable[[Path], str | None] = sha256) -> bool:
    """Whether a model folder holds just the bytes that were written.

    Args:
        run: the run folder.
        row: as `ModelFolder.to_row` gives it.
        digest: gives the SHA-256 of a file.
    """
    folder = run / row["folder"]
    return bool({path.relative_to(folder).as_posix(): digest(path) for path in _files(folder)} == row["files"])


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _sync_and_digest(path: Path) -> str:
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return sha256(path)
