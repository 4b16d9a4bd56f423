"""Folders of weights: written beside, digested, renamed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import RunFolderError
from ..files import Directory
from ..records import digest
from .file_stamps import FileStamps
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
    files, part = Directory(run), _make_part_name(folder)
    with _blame(run, folder, "written"):
        _refuse_foreign_files(run, folder, known)
        files.remove(part)
        files.make_folder(part)
        save(run / part)
        model = ModelFolder(folder, {name: _sync_and_digest(files, f"{part}/{name}") for name in _list(run, part)})
        _clear_place(run, folder, known)
        _put_in_place(files, part, model, known)
    return model


def bring_back(run: Path, row: Mapping[str, Any], known: KnownFiles) -> None:
    """Puts a model that a later training moved into its place again; does nothing where it is there.

    Args:
        run: the run folder.
        row: as `ModelFolder.to_row` gives it.
        known: what the run knows of its files.

    Raises:
        RunFolderError: it cannot be moved, or would replace a file that the run did not write.
    """
    folder = row["folder"]
    with _blame(run, folder, "moved"):
        found = find_model(run, row)
        if found != folder:
            _refuse_foreign_files(run, folder, known)
            _clear_place(run, folder, known)
            _put_in_place(Directory(run), found, ModelFolder(folder, row["files"]), known)


def find_model(run: Path, row: Mapping[str, Any]) -> str:
    """Where a model lies, relative to the run folder: beside its place where a later training took that, else in it."""
    beside = _make_earlier_name(row["folder"], row["files"])
    try:
        return beside if Directory(run).kind(beside) == "folder" else row["folder"]
    except OSError:  # a folder above it is a link, or cannot be read
        return str(row["folder"])


def is_intact(run: Path, row: Mapping[str, Any], digest_file: Callable[[str], str | None]) -> bool:
    """Whether a model folder, wherever it lies, holds just the bytes that were written, litter of file managers aside.

    Args:
        run: the run folder.
        row: as `ModelFolder.to_row` gives it.
        digest_file: gives the SHA-256 of a file by its name below the run folder.
    """
    try:
        folder = find_model(run, row)
        names = set(_list(run, folder))
    except OSError:
        return False
    # Names first: a foreign file must not be digested, or the ledger would count it among the run's own.
    return names == set(row["files"]) and all(digest_file(f"{folder}/{name}") == row["files"][name] for name in names)


@contextmanager
def _blame(run: Path, folder: str, action: str) -> Iterator[None]:
    try:
        yield
    except RunFolderError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunFolderError(f"the model folder {run / folder} cannot be {action}: {reason}") from error


def _refuse_foreign_files(run: Path, folder: str, known: KnownFiles) -> None:
    foreign = [name for name in list_files(run, folder) if not known.is_known(name)]
    if foreign:
        raise RunFolderError(
            f"the model folder {run / folder} holds {foreign[0].removeprefix(folder + '/')!r}, which this run did not "
            "write and which would be lost; move it elsewhere and rerun"
        )


def _clear_place(run: Path, folder: str, known: KnownFiles) -> None:
    """Moves a model of earlier settings out of its place; removes what no chunk speaks of."""
    files = Directory(run)
    # Blank where it is damaged, so that no chunk speaks of it.
    found = {name: known.stamps.digest(f"{folder}/{name}") or "" for name in _list(run, folder)}
    if found and known.is_named(ModelFolder(folder, found)):
        beside = _make_earlier_name(folder, found)
        files.remove(beside)
        _put_in_place(files, folder, ModelFolder(beside, found), known)
    else:
        files.remove(folder)


def _put_in_place(files: Directory, lies: str, model: ModelFolder, known: KnownFiles) -> None:
    """Moves a folder to where nothing is; its files are entered first, so that a kill leaves none that is unknown."""
    names = {name: f"{lies}/{name}" for name in model.files}
    known.stamps.see(known.stamps.stamp(f"{model.folder}/{name}", model.files[name], at) for name, at in names.items())
    files.move(lies, model.folder)


def _list(run: Path, folder: str) -> list[str]:
    """Names of the files of a model, relative to its folder."""
    return [name.removeprefix(f"{folder}/") for name in list_files(run, folder)]


def _make_part_name(folder: str) -> str:
    parent, _, name = folder.rpartition("/")
    return f"{parent}/.{name}.part"


def _make_earlier_name(folder: str, files: Mapping[str, str]) -> str:
    return f"{folder}@{digest(sorted(files.items()))[:12]}"


def _sync_and_digest(files: Directory, name: str) -> str:
    try:
        files.sync(name)
        return files.digest(name)
    except OSError as error:
        raise OSError(error.errno, f"{name} {error.strerror}") from error
