"""Files of a run folder: links are refused, and only what the run itself wrote is deleted."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import RunFolderError
from ..files import Directory, Entry
from .schema import LEDGER

BLOBS, MODELS, UNFINISHED, SYNTHETIC, MASKS, LOGS = FOLDERS = (
    *("blobs", "models", "checkpoints", "synthetic", "masks"),
    "logs",  # of trackers, by arm and seed
)
LOCK = ".lock"
OWN = (LOCK, *(f"{LEDGER}{end}" for end in ("", "-wal", "-shm", "-journal")))
NOT_OURS = "no run writes such a name; copy the run folder again from its origin, or start a new one"
_PART = re.compile(r"\..+\.part")  # a file or folder that was being written when its process ended
_TOP_PART = re.compile(r"\.[0-9a-f]{16}\.part")
_KEY = re.compile(r"[0-9a-f]{16}")
_EVENTS = re.compile(rf"{LOGS}/[^/]+/\d+/events\.out\.tfevents\.[^/]+")
# Files that file managers leave behind.
_LITTER = ("thumbs.db", "ehthumbs.db", "desktop.ini", ".ds_store", ".directory", "icon\r")


def to_run_folder(path: str | Path) -> Path:
    """The path of a run folder, `~` expanded."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  (a Path raises where there is no such user)


def refuse_links(run: Path) -> None:
    """Raises RunFolderError where a run folder has a link inside: what is behind it belongs to somebody else."""
    links = list(find_links(run))
    if links:
        more = f" and {len(links) - 5} more" if len(links) > 5 else ""
        raise RunFolderError(
            f"the run folder {run} has links inside ({', '.join(links[:5])}{more}), expected only its own files and "
            "folders: the target of a link might be overwritten or removed. Replace the links with what they point to, "
            "or link the run folder itself instead"
        )


def find_links(run: Path) -> Iterator[str]:
    """The links directly in a run folder and anywhere in the folders that runs write."""
    return (entry.name for entry in walk_run(run) if entry.kind == "link")


def walk_run(run: Path) -> Iterator[Entry]:
    """What lies directly in a run folder, and all that lies in the folders that runs write.

    Raises:
        RunFolderError: a folder cannot be read.
    """
    files, place = Directory(run), run
    try:
        for entry in files.entries():
            yield entry
            if entry.kind == "folder" and entry.name in FOLDERS:
                place = run / entry.name
                yield from files.walk(entry.name)
    except OSError as error:
        raise RunFolderError(f"{place} cannot be read: {_explain(error)}") from error


def check_places(run: Path) -> None:
    """Raises RunFolderError where the lock or the ledger is no file: opening it would hang, or lead elsewhere."""
    files = Directory(run)
    for name in OWN:
        try:
            if files.kind(name) is not None:
                files.stat(name)
        except OSError as error:
            raise RunFolderError(f"{run / name} {_explain(error)}; move it elsewhere and rerun") from error


def is_litter(name: str) -> bool:
    """Whether a file is one that file managers leave in every folder they show."""
    base = name.rpartition("/")[2]
    return base.lower() in _LITTER or base.startswith("._")


def is_leftover(name: str) -> bool:
    """Whether a file or folder, or one above it, was half-written when its process ended."""
    return any(_PART.fullmatch(part) for part in name.split("/"))


def is_log(name: str) -> bool:
    """Whether a file may have been written by a tracker: events for TensorBoard."""
    return _EVENTS.fullmatch(name) is not None


def list_files(run: Path, folder: str) -> list[str]:
    """Names of all that lies below a folder of a run and is no folder, sorted; litter is left out."""
    entries = (entry for entry in Directory(run).walk(folder) if entry.kind != "folder")
    return [entry.name for entry in entries if entry.kind != "file" or not is_litter(entry.name)]


def find_leftovers(run: Path, *, unfinished: bool) -> list[str]:
    """What a killed process left half-written, and, if asked for, the checkpoints of unfinished trainings."""
    found = [entry.name for entry in walk_run(run) if _is_half_written(entry)]
    if unfinished:
        folders = (entry for entry in Directory(run).entries(UNFINISHED) if entry.kind == "folder")
        found += [entry.name for entry in folders if _KEY.fullmatch(entry.name.rpartition("/")[2])]
    return found


def _is_half_written(entry: Entry) -> bool:
    *folders, base = entry.name.split("/")
    place = folders[0] if folders else ""
    if place == MODELS:
        return entry.kind == "folder" and len(folders) == 2 and _PART.fullmatch(base) is not None
    if place in (BLOBS, SYNTHETIC, MASKS) and len(folders) == 2:
        return entry.kind == "file" and _PART.fullmatch(base) is not None
    return entry.kind == "file" and folders in ([], [SYNTHETIC]) and _TOP_PART.fullmatch(base) is not None


def remove_files(run: Path, names: Iterable[str]) -> int:
    """Removes files and folders, and the folders that become empty; returns the bytes freed.

    Raises:
        RunFolderError: one cannot be removed.
    """
    files, freed = Directory(run), 0
    for name in names:
        try:
            freed += files.remove(name)
            _remove_empty_parents(files, name.rpartition("/")[0])
        except OSError as error:
            raise RunFolderError(f"{run / name} cannot be removed: {_explain(error)}") from error
    return freed


def _remove_empty_parents(files: Directory, folder: str) -> None:
    while folder and files.kind(folder) == "folder":
        inside = files.entries(folder)
        if not all(entry.kind == "file" and is_litter(entry.name) for entry in inside):
            return
        for entry in inside:
            files.remove(entry.name)
        files.remove_empty(folder)
        folder = folder.rpartition("/")[0]


def _explain(error: OSError) -> str:
    return error.strerror or str(error)
