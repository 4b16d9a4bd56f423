"""Digests of files by path, size, times and inode, as git's index keeps them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
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
        """SHA-256 of a file that this run wrote; None when it is not there or cannot be read."""
        try:
            before = _looks(path)
            known = self._ledger.stamp(self.name(path))
            if known is not None and known[1:5] == before:
                return known.digest
            found = sha256(path)
        except OSError:
            return None
        self._ledger.see([FileStamp(self.name(path), *before, found)])
        return found

    def stamp(self, path: Path, digest: str, name: str | None = None) -> FileStamp:
        """What to keep of a file that was just written, whose digest is known; `name` where it will be moved."""
        return FileStamp(name or self.name(path), *_looks(path), digest)

    def see(self, files: Iterable[FileStamp]) -> None:
        """Keeps the stamps of files that were just written."""
        self._ledger.see(files)

    def name(self, path: Path) -> str:
        """The name of a file in the ledger: its path below the run folder."""
        return path.relative_to(self._root).as_posix()


def sha256(path: Path) -> str:
    """SHA-256 of all bytes of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _looks(path: Path) -> tuple[int, int, int, str]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, str(found.st_ino)
