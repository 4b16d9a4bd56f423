"""The ledger: which chunks are finished, and which make up each stage."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ..records.pipeline import StageKind
from .ledger_file import SQL_ERRORS, damage, find_damage, open_ledger, translate
from .row_checksums import insert, is_sound
from .schema import Fact, StageName, Value


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


class PaidCount(NamedTuple):
    """The calls of a run to outside services; none of these figures ever falls.

    Attributes:
        sent: calls that were sent, or about to be.
        answered: those whose reply was recorded.
        cost: of these, in picodollars.
    """

    sent: int = 0
    answered: int = 0
    cost: int = 0


class RunLedger:
    """One SQLite file. Rows are JSON; a chunk is there with all its rows or not at all.

    Every row has a checksum, and a row that is read is compared with it.

    Args:
        path: of the file.
        writable: False opens it for reading only.

    Raises:
        RunFolderError: it is missing, damaged, of another version, or not a ledger.
        RunLockedError: another process is writing it.
    """

    def __init__(self, path: Path, *, writable: bool) -> None:
        self._path, self._writable = path, writable
        self._lock = threading.RLock()  # paid calls are committed by the threads that made them
        self._connection = open_ledger(path, writable=writable)

    def close(self) -> None:
        """Closes the file; a closed ledger is one file that can be read from a read-only folder."""
        try:
            if self._writable:
                self._execute("PRAGMA journal_mode = DELETE")
        finally:
            self._connection.close()

    def checkpoint(self) -> None:
        """Moves what was committed into the ledger's own file: no copy without its -wal then lacks it."""
        with self._lock:
            self._execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def rows(self, key: str) -> list[Any] | None:
        """The rows of a finished chunk; None where it is not finished."""
        found = self.read("chunks", ("rows",), "WHERE key = ?", (key,))
        return self.parse(found[0][0]) if found else None

    def commit(self, key: str, stage: StageName, rows: Sequence[Any], files: Iterable[FileStamp] = ()) -> None:
        """Keeps the rows of a chunk and the stamps of its files; the first committed rows stand."""
        text = json.dumps(list(rows), separators=(",", ":"))
        with self.changing() as connection:
            connection.execute(insert("chunks", "IGNORE"), (key, str(stage), text))
            connection.executemany(insert("stamps", "REPLACE"), files)

    def see(self, files: Iterable[FileStamp]) -> None:
        """Keeps the stamps of files; the newest stand."""
        with self.changing() as connection:
            connection.executemany(insert("stamps", "REPLACE"), files)

    def stamp(self, name: str) -> FileStamp | None:
        """The stamp of a file; None when it was never looked at."""
        found = self.read("stamps", FileStamp._fields, "WHERE name = ?", (name,))
        return FileStamp(*found[0]) if found else None

    def stamped_files(self, folder: str) -> list[str]:
        """Names of the files below a folder that this run wrote."""
        return [name for (name,) in self.read("stamps", ("name",), "WHERE name LIKE ?", (f"{folder}/%",))]

    def drop_stamps(self, names: Iterable[str]) -> None:
        """Forgets files that were removed."""
        with self.changing() as connection:
            connection.executemany("DELETE FROM stamps WHERE name = ?", [(name,) for name in names])

    def all_rows(self) -> Iterator[Any]:
        """The rows of every finished chunk, of earlier settings too."""
        for (text,) in self.read("chunks", ("rows",)):
            yield from self.parse(text)

    def fit_rows(self) -> Iterator[Any]:
        """The rows of every finished training, of earlier settings too."""
        for stage, text in self.read("chunks", ("stage", "rows")):
            if self._parse_name(stage).kind == StageKind.FIT:
                yield from self.parse(text)

    def forget(self, key: str) -> None:
        """Drops a chunk whose files are lost, so that it is done again."""
        self.write("DELETE FROM chunks WHERE key = ?", (key,))

    def keep_only(self, keys: Iterable[str]) -> None:
        """Drops every other chunk."""
        kept = set(keys)
        for (key,) in self.read("chunks", ("key",)):
            if key not in kept:
                self.forget(key)

    def find_damage(self) -> list[str]:
        """What is wrong with the file and its rows, a line each; nothing when it is sound."""
        try:
            with self._lock:
                return find_damage(self._connection)
        except SQL_ERRORS as error:
            raise translate(self._path, error) from error

    def begin(self, stage: StageName, keys: Sequence[str], total: int) -> None:
        """Records which chunks make up a stage now, and how many items they hold."""
        self.write(insert("stages", "REPLACE"), (str(stage), json.dumps(list(keys)), total))

    def drop_stages(self, keep: Iterable[StageName]) -> None:
        """Forgets the stages of earlier settings; their chunks stay, and are found again by key."""
        kept = set(keep)
        for name in self.stages():
            if name not in kept:
                self.write("DELETE FROM stages WHERE name = ?", (str(name),))

    def stages(self) -> dict[StageName, tuple[list[str], int]]:
        """Chunk keys and item count of each stage, in the order they were begun."""
        stages = self.read("stages", ("name", "keys", "total"), "ORDER BY rowid")
        return {self._parse_name(name): (self.parse(keys), total) for name, keys, total in stages}

    def get_fact(self, fact: Fact[Value]) -> Value | None:
        """A fact about the run; None where it was never set."""
        found = self.read("facts", ("value",), "WHERE name = ?", (fact.name,))
        value: Value | None = self.parse(found[0][0]) if found else None
        return value

    def set_fact(self, fact: Fact[Value], value: Value | None) -> None:
        """Keeps a fact about the run; the newest value stands."""
        self.write(insert("facts", "REPLACE"), (fact.name, json.dumps(value)))

    def count_paid(self) -> PaidCount:
        """The calls to outside services so far."""
        settled = "coalesce(sum({}) FILTER (WHERE state = 'settled'), 0)"
        sql = f"SELECT count(*), {settled.format(1)}, {settled.format('cost')} FROM calls"  # noqa: S608
        return PaidCount(*self.select(sql)[0])

    def read(self, table: str, columns: Sequence[str], rest: str = "", values: Sequence[Any] = ()) -> list[Any]:
        """Columns of the rows of one table, each row compared with its checksum.

        Args:
            table: of the ledger.
            columns: their names.
            rest: SQL that follows the table, such as "WHERE key = ?".
            values: for its question marks.

        Raises:
            RunFolderError: a row is not as it was written.
        """
        found = self.select(f"SELECT {is_sound(table)}, {', '.join(columns)} FROM {table} {rest}", values)  # noqa: S608
        self.refuse_damaged(table, (sound for sound, *_ in found))
        return [row for _, *row in found]

    def refuse_damaged(self, table: str, sound: Iterable[int]) -> None:
        """Raises RunFolderError where a row of a table was found to differ from its checksum."""
        if not all(sound):
            raise damage(self._path, f"is damaged: a row of the table {table} does not match its checksum")

    def parse(self, text: Any) -> Any:
        """The value of a JSON text in a row.

        Raises:
            RunFolderError: it is none.
        """
        try:
            return json.loads(text)
        except (TypeError, ValueError, RecursionError) as error:
            raise damage(self._path, f"is damaged: a row is not JSON ({error})") from error

    def data_version(self) -> int:
        """A number that changes when another connection has committed."""
        return int(self.select("PRAGMA data_version")[0][0])

    def select(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """The rows that a query finds; nothing compares them with their checksums."""
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
        except SQL_ERRORS as error:
            raise translate(self._path, error) from error

    def _parse_name(self, text: str) -> StageName:
        try:
            return StageName.parse(text)
        except (TypeError, ValueError, AttributeError) as error:
            raise damage(self._path, f"names a stage that this version does not know ({error})") from error

    def _execute(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> sqlite3.Cursor:
        try:
            with self._lock:
                return self._connection.execute(sql, values)
        except SQL_ERRORS as error:
            raise translate(self._path, error) from error
