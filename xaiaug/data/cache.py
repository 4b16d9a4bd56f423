"""Caches facts about image files, such as digests, in the user's cache folder."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

Stamp = tuple[str, int, int]  # path, bytes and modification time of a file
_CREATE = """CREATE TABLE IF NOT EXISTS facts (
    kind TEXT, path TEXT, size INTEGER, changed INTEGER, value TEXT, PRIMARY KEY (kind, path)
) WITHOUT ROWID"""


def cache_folder() -> Path:
    """This user's cache folder for xaiaug: `$XAIAUG_CACHE`, else a folder in the system's cache folder."""
    folder = os.environ.get("XAIAUG_CACHE")
    if folder:
        return Path(folder).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "xaiaug"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xaiaug"


class FactCache:
    """Facts about files, each valid while its file's path, size and modification time stay the same.

    A cache that cannot be read or written acts as an empty one: it costs time, but never fails a run.

    Args:
        kind: what the facts are and how they were computed; facts of other kinds are ignored.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def read(self, stamps: Iterable[Stamp]) -> dict[str, str]:
        """The facts that are still valid, by path."""
        wanted = {path: (size, changed) for path, size, changed in stamps}
        if not wanted:
            return {}
        # One range of paths is a single scan in table order: far faster than thousands of look-ups.
        query = "SELECT path, size, changed, value FROM facts WHERE kind = ? AND path BETWEEN ? AND ?"
        with contextlib.suppress(sqlite3.Error, OSError), self._connect() as connection:
            rows = connection.execute(query, (self.kind, min(wanted), max(wanted)))
            return {path: value for path, size, changed, value in rows if wanted.get(path) == (size, changed)}
        return {}

    def write(self, stamps: Iterable[Stamp], facts: Mapping[str, str]) -> None:
        """Stores the facts, by path."""
        rows = [(self.kind, *stamp, facts[stamp[0]]) for stamp in stamps if stamp[0] in facts]
        if rows:
            with contextlib.suppress(sqlite3.Error, OSError), self._connect() as connection, connection:
                connection.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?, ?)", rows)

    @contextlib.contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(folder / "files.sqlite", timeout=10)) as connection:
            connection.execute(_CREATE)
            yield connection
