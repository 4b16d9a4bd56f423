"""Digests of files by path, size, times and inode, as git's index keeps them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ..files import Directory
from .run_ledger import FileStamp, RunLedger


class FileStamps:
    """Hashes a file when it was never seen, or looks changed since.

    Args:
        ledger: keeps what was seen.
        run: the run folder; names are paths below it.
    """

    def __init__(self, ledger: RunLedger, run: Path) -> None:
        self._ledger, self._files = ledger, Directory(run)

    def digest(self, name: str) -> str | None:
        """SHA-256 of a file that this run wrote; None when it is not there, cannot be read or has another size."""
        try:
            lies = self._files.stat(name)
            before = to_stamp(name, lies, "")
            known = self._ledger.stamp(name)
            if known is not None and known[1:5] == before[1:5]:
                return known.digest
            if known is not None and known.size != before.size:
                return None  # other bytes, whatever they are: a huge file need not be read
            found = self._files.digest(name)
        except OSError:
            return None
        self._ledger.see([to_stamp(name, lies, found)])
        return found

    def stamp(self, name: str, digest: str, lies: str | None = None) -> FileStamp:
        """What to keep of a file that was just written, whose digest is known; `lies`: where, until it is moved."""
        return to_stamp(name, self._files.stat(lies or name), digest)

    def see(self, files: Iterable[FileStamp]) -> None:
        """Keeps the stamps of files that were just written."""
        self._ledger.see(files)


def to_stamp(name: str, lies: os.stat_result, digest: str) -> FileStamp:
    """The stamp of a file that lies there so, and whose digest is known."""
    return FileStamp(name, lies.st_size, lies.st_mtime_ns, lies.st_ctime_ns, str(lies.st_ino), digest)
