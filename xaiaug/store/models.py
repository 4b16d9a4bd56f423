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


def write_model(
    run: Path, folder: str, save: Callable[[Path], None], stamps: FileStamps, is_known: Callable[[str], bool]
) -> ModelFolder:
    """A model folder in a run: saved beside, then put in place of what was there, which is set aside.

    Args:
        run: the run folder.
        folder: relative to it.
        save: writes the files into a folder.
        stamps: where the files are entered before they are put in place.
        is_known: whether the run wrote the file of that name.

    Raises:
        RunFolderError: it cannot be written, or would replace a file that the run did not write.
    """
    target = run / folder
    _refuse_foreign_files(target, stamps, is_known)
    beside = target.with_name(f".{target.name}.part")
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        save(beside)
        files = {path.relative_to(beside).as_posix(): _sync_and_digest(path) for path in list_files(beside)}
        stamps.see(stamps.stamp(beside / name, sha, f"{folder}/{name}") for name, sha in files.items())
        _move_away(target, stamps)
        beside.replace(target)
    except OSError as error:
        raise RunFolderError(f"the model folder {target} cannot be written: {error.strerror or error}") from error
    return ModelFolder(folder, files)


def bring_back(run: Path, row: Mapping[str, Any], stamps: FileStamps, is_known: Callable[[str], bool]) -> None:
    """Puts a model that a later training has set aside into its place again; does nothing where it is there.

    Args:
        run: the run folder.
        row: as `ModelFolder.to_row` gives it.
        stamps: where the files are entered under their new names.
        is_known: whether the run wrote the file of that name.

    Raises:
        RunFolderError: it cannot be moved, or its place holds a file that the run did not write.
    """
    target = run / row["folder"]
    aside = _spare_place(target, row["files"])
    if not aside.is_dir():
        return
    _refuse_foreign_files(target, stamps, is_known)
    try:
        _move_away(target, stamps)
        aside.replace(target)
        stamps.see(stamps.stamp(target / name, sha) for name, sha in row["files"].items())
    except OSError as error:
        raise RunFolderError(f"the model folder {target} cannot be moved: {error.strerror or error}") from error


def find_model(run: Path, row: Mapping[str, Any]) -> Path:
    """Where a model lies: set aside by a later training of the same arm and seed, or in its place."""
    target = run / row["folder"]
    aside = _spare_place(target, row["files"])
    return aside if aside.is_dir() else target


def _refuse_foreign_files(target: Path, stamps: FileStamps, is_known: Callable[[str], bool]) -> None:
    foreign = [path for path in list_files(target) if not is_known(stamps.name(path))]
    if foreign:
        raise RunFolderError(
            f"the model folder {target} holds {foreign[0].relative_to(target).as_posix()!r}, which this run did not "
            "write and which would be lost; move it elsewhere and rerun"
        )


def _move_away(target: Path, stamps: FileStamps) -> None:
    """Moves the model of earlier settings out of the way: it is found again when they come back, or removed by gc."""
    if not target.is_dir():
        return
    files = {path.relative_to(target).as_posix(): sha256(path) for path in list_files(target)}
    aside = _spare_place(target, files)
    shutil.rmtree(aside, ignore_errors=True)
    target.replace(aside)
    stamps.see(stamps.stamp(aside / name, sha) for name, sha in files.items())


def _spare_place(target: Path, files: Mapping[str, str]) -> Path:
    return target.with_name(f"{target.name}@{digest(sorted(files.items()))[:12]}")


def is_intact(run: Path, row: Mapping[str, Any], digest_file: Callable[[Path], str | None] = sha256) -> bool:
    """Whether a model folder holds just the bytes that were written, in its place or set aside.

    Files that file managers leave do not count.

    Args:
        run: the run folder.
        row: as `ModelFolder.to_row` gives it.
        digest_file: gives the SHA-256 of a file.
    """
    folder = find_model(run, row)
    # Names first: a foreign file must not be digested, or the ledger would count it among the run's own.
    names = {path.relative_to(folder).as_posix() for path in list_files(folder)}
    return names == set(row["files"]) and all(digest_file(folder / name) == row["files"][name] for name in names)


def _sync_and_digest(path: Path) -> str:
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return sha256(path)
