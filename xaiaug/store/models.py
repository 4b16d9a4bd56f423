"""Folders of weights: written beside, digested, renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import RunFolderError
from ..records import digest
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
        _move_earlier(target)
        beside.replace(target)
    except OSError as error:
        raise RunFolderError(f"the model folder {target} cannot be written: {error.strerror or error}") from error
    return ModelFolder(folder, files)


def bring_back(run: Path, row: Mapping[str, Any]) -> None:
    """Puts a model that a later training has set aside into its place again; does nothing where it is there.

    Args:
        run: the run folder.
        row: as `ModelFolder.to_row` gives it.

    Raises:
        RunFolderError: it cannot be moved.
    """
    target = run / row["folder"]
    aside = _make_earlier_path(target, row["files"])
    if not aside.is_dir():
        return
    try:
        _move_earlier(target)
        aside.replace(target)
    except OSError as error:
        raise RunFolderError(f"the model folder {target} cannot be moved: {error.strerror or error}") from error


def find_model(run: Path, row: Mapping[str, Any]) -> Path:
    """Where a model lies: set aside by a later training of the same arm and seed, or in its place."""
    target = run / row["folder"]
    aside = _make_earlier_path(target, row["files"])
    return aside if aside.is_dir() else target


def _move_earlier(target: Path) -> None:
    """Moves the model of earlier settings out of the way: it is found again when they come back, or removed by gc."""
    if not target.is_dir():
        return
    aside = _make_earlier_path(target, {path.relative_to(target).as_posix(): sha256(path) for path in _files(target)})
    shutil.rmtree(aside, ignore_errors=True)
    target.replace(aside)


def _make_earlier_path(target: Path, files: Mapping[str, str]) -> Path:
    return target.with_name(f"{target.name}@{digest(sorted(files.items()))[:12]}")


def is_intact(run: Path, row: Mapping[str, Any], digest_file: Callable[[Path], str | None] = sha256) -> bool:
    """Whether a model folder holds just the bytes that were written, in its place or set aside.

    Args:
        run: the run folder.
        row: as `ModelFolder.to_row` gives it.
        digest_file: gives the SHA-256 of a file.
    """
    folder = find_model(run, row)
    return bool({path.relative_to(folder).as_posix(): digest_file(path) for path in _files(folder)} == row["files"])


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _sync_and_digest(path: Path) -> str:
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return sha256(path)
