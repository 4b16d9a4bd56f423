"""Folders of weights: written beside, digested, renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import RunFolderError
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
    """A model folder in a run: saved beside, then put in place of what was there.

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
    foreign = [name for path in list_files(target) if not is_known(name := stamps.name(path))]
    if foreign:
        raise RunFolderError(
            f"the model folder {target} holds {foreign[0].removeprefix(folder + '/')!r}, which this run did not write "
            "and which would be lost; move it elsewhere and rerun"
        )
    beside = target.with_name(f".{target.name}.part")
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        save(beside)
        files = {path.relative_to(beside).as_posix(): _sync_and_digest(path) for path in list_files(beside)}
        stamps.see(stamps.stamp(beside / name, digest, f"{folder}/{name}") for name, digest in files.items())
        shutil.rmtree(target, ignore_errors=True)
        beside.replace(target)
    except OSError as error:
        raise RunFolderError(f"the model folder {target} cannot be written: {error.strerror or error}") from error
    return ModelFolder(folder, files)


def is_intact(run: Path, row: dict[str, Any], digest: Callable[[Path], str | None] = sha256) -> bool:
    """Whether a model folder holds just the bytes that were written, litter of file managers aside.

    Args:
        run: the run folder.
        row: as `ModelFolder.to_row` gives it.
        digest: gives the SHA-256 of a file.
    """
    folder = run / row["folder"]
    # Names first: a foreign file must not be digested, or the ledger would count it among the run's own.
    names = {path.relative_to(folder).as_posix() for path in list_files(folder)}
    return names == set(row["files"]) and all(digest(folder / name) == row["files"][name] for name in names)


def _sync_and_digest(path: Path) -> str:
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return sha256(path)
