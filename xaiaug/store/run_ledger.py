"""The ledger: which chunks are finished, and which make up each stage."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import RunFolderError, RunLockedError
from ..records.pipeline import StageKind
from .schema import FORMAT, TABLES, VERSION, Fact, StageName, Value

_SEE = "INSERT OR REPLACE INTO stamps VALUES (?, ?, ?, ?, ?, ?)"


class FileStamp(NamedTuple):
    """A file as it was when its bytes were last looked at.

    Attributes:
        name: its path below the run folder.
        size: bytes.
        modified: time at which its bytes were last modified, in nanoseconds; copies and archives may set it.
        changed: time of its last change of any kind, in nanoseconds; nobody can set it.
        inode: number of the file in its file system, as text: it may have 64 bits.
        digest: SHA-256 of its bytes.
    """

    name: str
    size: int
    modified: int
    changed: int
    inode: str
    digest: str


class RunLedger:
    """One SQLite file. Rows are JSON; a chunk is there with all its rows or not at all.

    Args:
        path: of the file.
        writable: False opens it for reading only.

    Raises:
        RunFolderError: it is missing, corrupt, or of another version.
    """

    def __init__(self, path: Path, *, writable: bool) -> None:
        self._path, self._writable = path, writable
        self._lock = threading.RLock()  # paid calls are committed by the threads that made them
        if not writable and not path.exists():
            raise RunFolderError(f"there is no run in {path.parent}: {path.name} is missing")
        mode = "rwc" if writable else "ro"
        try:
            self._connection = sqlite3.connect(
                f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=1, check_same_thread=False
            )
            try:
                self._ready()
            except BaseException:
                self._connection.close()  # or the file would stay locked
                raise
        except sqlite3.Error as error:
            raise self._translate(error) from error

    def close(self) -> None:
        """Closes the file; a closed ledger is one file that can be read from a read-only folder."""
        try:
            if self._writable:
                self._execute("PRAGMA journal_mode = DELETE")
        finally:
            self._connection.close()

    def rows(self, key: str) -> list[Any] | None:
        """The rows of a finished chunk; None where it is not finished."""
        found = self._execute("SELECT rows FROM chunks WHERE key = ?", (key,)).fetchone()
        return None if found is None else json.loads(found[0])

    def commit(self, key: str, stage: StageName, rows: Sequence[Any], files: Iterable[FileStamp] = ()) -> None:
        """Keeps the rows of a chunk and the stamps of its files; the first committed rows stand."""
        text = json.dumps(list(rows), separators=(",", ":"))
        with self.changing() as connection:
            connection.execute("INSERT OR IGNORE INTO chunks VALUES (?, ?, ?)", (key, str(stage), text))
            connection.executemany(_SEE, files)

    def see(self, files: Iterable[FileStamp]) -> None:
        """Keeps the stamps of files; the newest stand."""
        with self.changing() as connection:
            connection.executemany(_SEE, files)

    def stamp(self, name: str) -> FileStamp | None:
        """The stamp of a file; None when it was never looked at."""
        found = self.select("SELECT * FROM stamps WHERE name = ?", (name,))
        return FileStamp(*found[0]) if found else None

    def stamped_files(self, folder: str) -> list[str]:
        """Names of the files below a folder that this run wrote."""
        return [name for (name,) in self.select("SELECT name FROM stamps WHERE name LIKE ?", (f"{folder}/%",))]

    def drop_stamps(self, names: Iterable[str]) -> None:
        """Forgets files that were removed."""
        with self.changing() as connection:
            connection.executemany("DELETE FROM stamps WHERE name = ?", [(name,) for name in names])

    def all_rows(self) -> Iterator[Any]:
        """The rows of every finished chunk, of earlier settings too."""
        for (text,) in self.select("SELECT rows FROM chunks"):
            yield from json.loads(text)

    def fit_rows(self) -> Iterator[Any]:
        """The rows of every finished training, of earlier settings too."""
        for stage, text in self.select("SELECT stage, rows FROM chunks"):
            if StageName.parse(stage).kind == StageKind.FIT:
                yield from json.loads(text)

    def forget(self, key: str) -> None:
        """Drops a chunk whose files are lost, so that it is done again."""
        self.write("DELETE FROM chunks WHERE key = ?", (key,))

    def keep_only(self, keys: Iterable[str]) -> None:
        """Drops every other chunk."""
        kept = set(keys)
        for (key,) in self._execute("SELECT key FROM chunks").fetchall():
            if key not in kept:
                self.forget(key)

    def integrity(self) -> list[str]:
        """What SQLite finds wrong with the file; nothing when it is sound."""
        lines = [line for (line,) in self._execute("PRAGMA integrity_check").fetchall()]
        return [] if lines == ["ok"] else lines

    def begin(self, stage: StageName, keys: Sequence[str], total: int) -> None:
        """Records which chunks make up a stage now, and how many items they hold."""
        self.write("INSERT OR REPLACE INTO stages VALUES (?, ?, ?)", (str(stage), json.dumps(list(keys)), total))

    def drop_stages(self, keep: Iterable[StageName]) -> None:
        """Forgets the stages of earlier settings; their chunks stay, and are found again by key."""
        kept = set(keep)
        for name in self.stages():
            if name not in kept:
                self.write("DELETE FROM stages WHERE name = ?", (str(name),))

    def stages(self) -> dict[StageName, tuple[list[str], int]]:
        """Chunk keys and item count of each stage, in the order they were begun."""
        stages = self._execute("SELECT name, keys, total FROM stages ORDER BY rowid").fetchall()
        return {StageName.parse(name): (json.loads(keys), total) for name, keys, total in stages}

    def get_fact(self, fact: Fact[Value]) -> Value | None:
        """A fact about the run; None where it was never set."""
        row = self._execute("SELECT value FROM facts WHERE name = ?", (fact.name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def set_fact(self, fact: Fact[Value], value: Value | None) -> None:
        """Keeps a fact about the run; the newest value stands."""
        self.write("INSERT OR REPLACE INTO facts VALUES (?, ?)", (fact.name, json.dumps(value)))

    def select(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """The rows that a query finds."""
        with self._lock:
            return self._execute(sql, values).fetchall()

    def write(self, sql: str, values: Sequence[Any]) -> int:
        """Commits a change; returns the number of the row that was added last."""
        with self.changing() as connection:
            return connection.execute(sql, values).lastrowid or 0

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is committed, or nothing."""
        try:
            with self._lock, self._connection:
                yield self._connection
        except sqlite3.Error as error:
            raise self._translate(error) from error

    def _ready(self) -> None:
        self._connection.execute("PRAGMA busy_timeout = 1000")
        if self._writable:
            self._prepare()
        self._check_version()

    def _prepare(self) -> None:
        # FULL: a committed row survives a power cut. EXCLUSIVE: one process owns the file while it writes.
        self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(TABLES)
        self._connection.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (FORMAT.name, str(VERSION)))
        self._connection.commit()

    def _check_version(self) -> None:
        version = self.get_fact(FORMAT)
        if version != VERSION:
            raise RunFolderError(
                f"the run folder {self._path.parent} has format {version}; this version of xaiaug reads format "
                f"{VERSION}. Use another folder for a new run, or open it with the version of xaiaug that made it"
            )

    def _execute(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        try:
            with self._lock:
                return self._connection.execute(sql, values)
        except sqlite3.Error as error:
            raise self._translate(error) from error

    def _translate(self, error: sqlite3.Error) -> RunFolderError:
        if "locked" in str(error):
            return RunLockedError(f"{self._path.parent} is being written by another process; wait for it or stop it")
        return RunFolderError(f"the ledger {self._path} cannot be used: {error}; what was committed is still there")
