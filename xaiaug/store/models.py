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
from .file_stamps import FileStamps, sha256
from .run_files import list_files


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


@dataclass(frozen=True)
class KnownFiles:
    """What a run knows of its files.

    Attributes:
        stamps: where files are entered before they are put in place.
        is_known: whether the run wrote the file of that name.
        is_named: whether a finished chunk, of any settings, speaks of a model.
    """

    stamps: FileStamps
    is_known: Callable[[str], bool]
    is_named: Callable[[ModelFolder], bool]


def write_model(run: Path, folder: str, save: Callable[[Path], None], known: KnownFiles) -> ModelFolder:
    """A model folder in a run: saved beside, then put in place of what was there.

    A model of earlier settings is kept beside its place: it is found again when they come back.

    Args:
        run: the run folder.
        folder: relative to it.
        save: writes the files into a folder.
        known: what the run knows of its files.

    Raises:
        RunFolderError: it cannot be written, or would replace a file that the run did not write.
    """
    target = run / folder
    _refuse_foreign_files(run, folder, known)
    beside = target.with_name(f".{target.name}.part")
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        save(beside)
        files = {path.relative_to(beside).as_posix(): _sync_and_digest(path) for path in list_files(beside)}
        stamps = known.stamps
        _clear_place(run, folder, known)
        stamps.see(stamps.stamp(beside / name, found, f"{folder}/{name}") for name, found in files.items())
        beside.replace(target)
    except OSError as error:
        raise RunFolderError(f"the model folder {target} cannot be written: {error.strerror or error}") from error
    return ModelFolder(folder, files)


def bring_back(run: Path, row: Mapping[str, Any], known: KnownFiles) -> None:
    """Puts a model that a later training moved into its place again; does nothing where it is there.

    Args:
        run: the run folder.
        row: as `ModelFolder.to_row` gives it.
        known: what the run knows of its files.

    Raises:
        RunFolderError: it cannot be moved, or would replace a file that the run did not write.
    """
    target, found = run / row["folder"], find_model(run, row)
    if found == target:
        return
    _refuse_foreign_files(run, row["folder"], known)
    try:
        _clear_place(run, row["folder"], known)
        found.replace(target)
    except OSError as error:
        raise RunFolderError(f"the model folder {target} cannot be moved: {error.strerror or error}") from error


def find_model(run: Path, row: Mapping[str, Any]) -> Path:
    """Where a model lies: beside its place where a later training took that, else in it."""
    beside = _make_earlier_path(run / row["folder"], row["files"])
    return beside if beside.is_dir() else run / row["folder"]


def is_intact(run: Path, row: Mapping[str, Any], digest_file: Callable[[Path], str | None] = sha256) -> bool:
    """Whether a model folder, wherever it lies, holds just the bytes that were written, litter of file managers aside.

    Args:
        run: the run folder.
        row: as `ModelFolder.to_row` gives it.
        digest_file: gives the SHA-256 of a file.
    """
    folder = find_model(run, row)
    # Names first: a foreign file must not be digested, or the ledger would count it among the run's own.
    names = {path.relative_to(folder).as_posix() for path in list_files(folder)}
    return names == set(row["files"]) and all(digest_file(folder / name) == row["files"][name] for name in names)


def _refuse_foreign_files(run: Path, folder: str, known: KnownFiles) -> None:
    foreign = [name for path in list_files(run / folder) if not known.is_known(name := known.stamps.name(path))]
    if foreign:
        raise RunFolderError(
            f"the model folder {run / folder} holds {foreign[0].removeprefix(folder + '/')!r}, which this run did not "
            "write and which would be lost; move it elsewhere and rerun"
        )


def _clear_place(run: Path, folder: str, known: KnownFiles) -> None:
    """Moves a model of earlier settings out of its place; removes what no chunk speaks of."""
    target = run / folder
    files = {path.relative_to(target).as_posix(): sha256(path) for path in list_files(target)}
    beside = _make_earlier_path(target, files)
    if known.is_named(ModelFolder(folder, files)):
        shutil.rmtree(beside, ignore_errors=True)
        target.replace(beside)
    else:
        shutil.rmtree(target, ignore_errors=True)


def _make_earlier_path(target: Path, files: Mapping[str, str]) -> Path:
    return target.with_name(f"{target.name}@{digest(sorted(files.items()))[:12]}")


def _sync_and_digest(path: Path) -> str:
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return sha256(path)
