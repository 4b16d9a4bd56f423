"""Caches facts about image files, such as digests, in the user's cache folder."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..files import Directory

_FILE = "files.sqlite"
_CREATE = """CREATE TABLE IF NOT EXISTS known (
    kind TEXT, name BLOB, state TEXT, value TEXT, PRIMARY KEY (kind, name)
) WITHOUT ROWID"""
_AT_ONCE = 500  # names in a query; older versions of SQLite take 999 values
# A file may change again without another time within a tick of the clock that file systems use.
_TICK, _COARSE_TICK = 100_000_000, 2_000_000_000  # nanoseconds


def cache_folder() -> Path:
    """This user's cache folder for xaiaug: `$XAIAUG_CACHE`, else a folder in the system's cache folder.

    Raises:
        OSError: the user has no home folder.
    """
    folder = os.environ.get("XAIAUG_CACHE")
    try:
        if folder:
            return Path(folder).expanduser()
        if sys.platform == "win32":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "xaiaug"
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xaiaug"
    except (RuntimeError, KeyError) as error:  # as in a container with an unknown user id
        raise OSError(f"there is no home folder: {error}") from error


def file_state(stat: os.stat_result) -> str:
    """Size, times of modification and change, and inode: another state may mean other bytes."""
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"


def is_settled(stat: os.stat_result) -> bool:
    """Whether the file is too old to change from now on without another state."""
    newest = max(stat.st_mtime_ns, stat.st_ctime_ns)
    whole_seconds = stat.st_mtime_ns % 1_000_000_000 == stat.st_ctime_ns % 1_000_000_000 == 0
    return time.time_ns() - newest > (_COARSE_TICK if whole_seconds else _TICK)


class FactCache:
    """Facts by name, such as the path of a file, each valid for one state of what has that name.

    A cache that cannot be read or written acts as an empty one: it costs time, but never fails a run.

    Args:
        kind: what the facts are and how they were computed; facts of other kinds are ignored.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def read(self, states: Mapping[str, str]) -> dict[str, str]:
        """The facts that are still valid, by name; `states` has the present state of each name."""
        if not states:
            return {}
        names = sorted(os.fsencode(name) for name in states)
        known: dict[str, str] = {}
        with contextlib.suppress(sqlite3.Error, OSError, ValueError), self._connect() as connection:
            # Many names a query, in table order: the cache may hold a thousand times as many of other data.
            for first in range(0, len(names), _AT_ONCE):
                asked = names[first : first + _AT_ONCE]
                marks = ",".join("?" * len(asked))
                query = f"SELECT name, state, value FROM known WHERE kind = ? AND name IN ({marks})"  # noqa: S608
                rows = connection.execute(query, (self.kind, *asked))
                found = ((os.fsdecode(name), state, value) for name, state, value in rows)
                known |= {name: value for name, state, value in found if states.get(name) == state}
        return known

    def write(self, states: Mapping[str, str], facts: Mapping[str, str]) -> None:
        """Stores the facts, by name; those without a state are not kept."""
        rows = [(self.kind, os.fsencode(name), states[name], facts[name]) for name in facts if name in states]
        if rows:
            with contextlib.suppress(sqlite3.Error, OSError, ValueError), self._connect() as connection, connection:
                connection.executemany("INSERT OR REPLACE INTO known VALUES (?, ?, ?, ?)", rows)

    @contextlib.contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        if Directory(folder).kind(_FILE) not in (None, "file"):
            raise OSError(f"{folder / _FILE} is no file")
        with contextlib.closing(sqlite3.connect(folder / _FILE, timeout=10)) as connection:
            connection.execute(_CREATE)
            yield connection
