"""Files of a run folder: links are refused, and only what the run itself wrote is deleted."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import RunFolderError

BLOBS, MODELS, UNFINISHED, SYNTHETIC, MASKS = "blobs", "models", "checkpoints", "synthetic", "masks"
_PART = re.compile(r"\..+\.part")  # a file or folder that was being written when its process ended
_KEY = re.compile(r"[0-9a-f]{16}")
# Files that file managers leave behind.
_LITTER = ("thumbs.db", "ehthumbs.db", "desktop.ini", ".ds_store", ".directory", "icon\r")


def to_run_folder(path: str | Path) -> Path:
    """The path of a run folder, `~` expanded."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  (a Path raises where there is no such user)


def refuse_links(run: Path) -> None:
    """Raises RunFolderError where a run folder has a link inside: what is behind it belongs to somebody else."""
    links = list(find_links(run))
    if links:
        named = ", ".join(link.relative_to(run).as_posix() for link in links[:5])
        more = f" and {len(links) - 5} more" if len(links) > 5 else ""
        raise RunFolderError(
            f"the run folder {run} has links inside ({named}{more}), expected files and folders of its own: what lies "
            "behind a link might be overwritten or removed. Replace the links with what they point to, or link the "
            "whole run folder instead"
        )


def find_links(run: Path) -> Iterator[Path]:
    """The links directly in a run folder and anywhere in the folders that runs write."""
    for entry in _scan(run):
        if entry.is_symlink():
            yield Path(entry.path)
        elif entry.name in (BLOBS, MODELS, UNFINISHED, SYNTHETIC, MASKS):
            yield from _links_below(Path(entry.path))


def _links_below(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        yield from (path for name in (*folders, *files) if (path := Path(parent, name)).is_symlink())


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunFolderError(f"the run folder {folder} cannot be read: {error.strerror or error}") from error


def is_litter(path: Path) -> bool:
    """Whether a file is one that file managers leave in every folder they show."""
    return path.name.lower() in _LITTER or path.name.startswith("._")


def list_files(folder: Path) -> list[Path]:
    """All files below a folder, sorted; litter is left out."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not is_litter(path))


def find_leftovers(run: Path, *, unfinished: bool) -> Iterator[Path]:
    """What a killed process left half-written, and, if asked for, the checkpoints of unfinished trainings."""
    for pattern in (f"{BLOBS}/*/.*.part", f"{MODELS}/*/.*.part", f"{SYNTHETIC}/*/.*.part", f"{MASKS}/*/.*.part"):
        yield from (path for path in run.glob(pattern) if _PART.fullmatch(path.name))
    if unfinished:
        yield from (path for path in (run / UNFINISHED).glob("*") if path.is_dir() and _KEY.fullmatch(path.name))


def remove_files(run: Path, paths: Iterable[Path]) -> int:
    """Removes files and folders, and the folders that become empty; returns the bytes freed."""
    freed = 0
    for path in paths:
        inner = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        freed += sum(file.stat().st_size for file in inner)
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        _remove_empty_parents(run, path.parent)
    return freed


def _remove_empty_parents(run: Path, folder: Path) -> None:
    while folder != run and folder.is_dir():
        inside = list(folder.iterdir())
        if not all(is_litter(path) and path.is_file() for path in inside):
            return
        shutil.rmtree(folder)
        folder = folder.parent
