"""Digests of files by path, size and time of change, as git's index keeps them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from .run_ledger import FileStamp, RunLedger


class FileStamps:
    """Hashes a file when it was never seen, or looks changed since.

    Args:
        ledger: keeps what was seen.
        root: the run folder; paths are kept relative to it.
    """

    def __init__(self, ledger: RunLedger, root: Path) -> None:
        self._ledger, self._root = ledger, root

    def digest(self, path: Path) -> str | None:
        """SHA-256 of a file in the run folder; None when it is not there or cannot be read."""
        try:
            size, changed = _looks(path)
            known = self._ledger.stamp(self._name(path))
            if known is not None and (known.size, known.changed) == (size, changed):
                return known.digest
            found = sha256(path)
        except OSError:
            return None
        self._ledger.see([FileStamp(self._name(path), size, changed, found)])
        return found

    def stamp(self, path: Path, digest: str) -> FileStamp:
        """What to keep of a file that was just written, whose digest is known."""
        return FileStamp(self._name(path), *_looks(path), digest)

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()


def sha256(path: Path) -> str:
    """SHA-256 of all bytes of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _looks(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
