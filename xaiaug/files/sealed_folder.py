"""Folders that are complete once they hold the sizes and digests of their files: that file is written last."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from .content import parse_json
from .directory import Directory

SEAL = "digests.json"
_MOST = 1 << 26  # bytes of a seal


def seal_folder(files: Directory, folder: str, beside: Sequence[str] = ()) -> None:
    """Writes the seal of a folder.

    Args:
        files: the folder above it.
        folder: name of what is sealed.
        beside: folders beside it that it is of no use without; they may be missing, and may grow.
    """
    listed = (entry.name for name in (folder, *beside) for entry in files.walk(name) if entry.kind != "folder")
    digests = {}
    for name in listed:
        if name != f"{folder}/{SEAL}":
            files.sync(name)
            digests[name] = [files.stat(name).st_size, files.digest(name)]
    files.write(f"{folder}/{SEAL}", json.dumps(digests).encode())


def read_seal(files: Directory, folder: str) -> Mapping[str, tuple[int, str]]:
    """Size and SHA-256 of each file of a sealed folder, by its name below the folder above.

    Raises:
        OSError: it has no seal.
        ValueError: its seal is torn.
    """
    digests = parse_json(files.read(f"{folder}/{SEAL}", _MOST))
    if not isinstance(digests, dict):
        raise ValueError("lists no files")
    for value in digests.values():
        if not (isinstance(value, list) and len(value) == 2 and type(value[0]) is int and isinstance(value[1], str)):
            raise ValueError("lists files without size and digest")
    return {name: (size, digest) for name, (size, digest) in digests.items()}


def find_broken_seal(files: Directory, folder: str) -> str:
    """What is wrong with a folder, if it is sealed; empty if nothing is, or it has no seal.

    Args:
        files: the folder above it.
        folder: its name.
    """
    try:
        digests = read_seal(files, folder)
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        return f"{folder}/{SEAL} cannot be read ({getattr(error, 'strerror', None) or error})"
    for name, (size, digest) in digests.items():
        if damage := files.find_damage(name, digest, size=size):
            return f"{name} {damage}"
    foreign = [entry.name for entry in files.walk(folder) if entry.kind != "folder" and entry.name not in digests]
    foreign = [name for name in foreign if name != f"{folder}/{SEAL}"]
    return f"{foreign[0]} is foreign" if foreign else ""
