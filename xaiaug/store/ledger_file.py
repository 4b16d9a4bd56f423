"""The file of the ledger: opened only where it is a sound SQLite file with our tables, and nothing else in it."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Set
from pathlib import Path

from ..errors import RunCutShortError, RunFolderError, RunLockedError
from .row_checksums import is_sound, list_columns, list_schema, read_schema, row_checksum
from .schema import FORMAT, TABLES, VERSION

# SQLite quotes names of a damaged schema in its messages, and Python decodes these strictly.
SQL_ERRORS = (sqlite3.Error, UnicodeDecodeError)
# Bytes of a ledger up to which its indexes and checksums (10 ms a megabyte), and its structure (2 ms), are checked
# whenever it is opened; those of a larger one are checked by `xaiaug verify`.
ALL_CHECKED, STRUCTURE_CHECKED = 1 << 25, 1 << 28
PAID = ("calls", "prices", "batches", "batched")
REMEDY = (
    "Restore the entire folder from a backup (ledger.sqlite and ledger.sqlite-wal belong together), or start a new run "
    "in another folder"
)
_PLAIN_TABLE = re.compile(r'CREATE TABLE "?facts"? \([\w\s,]*\)')  # without expressions, which could be anything
_MAGIC = bytes.fromhex("d9d505f920a163d7")  # ends a rollback journal that names another file


def open_ledger(path: Path, *, writable: bool) -> sqlite3.Connection:
    """The ledger, checked; made where it is not there and may be written.

    Args:
        path: of the file.
        writable: False opens it for reading only.

    Raises:
        RunFolderError: it is missing, damaged, of another version, or not a ledger.
        RunCutShortError: it must be opened for writing first.
        RunLockedError: another process is writing it.
    """
    refuse_foreign_journal(path)
    if is_empty(path) and not writable:
        raise RunFolderError(
            f"there is no run in {path.parent}: {path.name} is {'empty' if _exists(path) else 'missing'}"
        )
    try:
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode={'rwc' if writable else 'ro'}",
            uri=True,
            timeout=1,
            check_same_thread=False,
        )
        try:
            _prepare(connection, path, writable=writable)
        except BaseException:
            connection.close()  # or the file would stay locked
            raise
    except SQL_ERRORS as error:
        raise translate(path, error) from error
    return connection


def is_empty(path: Path) -> bool:
    """Whether there is no ledger, or a file of no bytes.

    Raises:
        RunFolderError: its -wal is there, which SQLite would delete.
    """
    if _exists(path) and path.lstat().st_size:
        return False
    wal = path.with_name(f"{path.name}-wal")
    if _exists(wal) and wal.lstat().st_size:
        raise damage(path, f"is {'empty' if _exists(path) else 'missing'}, but {wal.name} is there")
    return True


def refuse_foreign_journal(path: Path) -> None:
    """Raises RunFolderError where the journal of a ledger names another file."""
    journal = path.with_name(f"{path.name}-journal")
    if _names_another_file(journal):
        raise RunFolderError(
            f"{journal} names another file, which no run does: SQLite would delete that file. {REMEDY}"
        )


def damage(path: Path, what: str) -> RunFolderError:
    """The error that a ledger is damaged."""
    return RunFolderError(f"the ledger {path} {what}. {REMEDY}")


def translate(path: Path, error: Exception) -> RunFolderError:
    """The error of a ledger that SQLite cannot use."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return RunLockedError(f"{path.parent} is being written by another process; wait for it or stop it")
    if name == "SQLITE_READONLY_ROLLBACK":
        return RunCutShortError(
            f"the ledger {path} cannot be read: its process was killed in the middle of a change. Rerun the same "
            "command to resume, which undoes it; committed work is kept"
        )
    text = str(error)
    broken = isinstance(error, UnicodeDecodeError) or type(error) is sqlite3.DatabaseError
    if broken or "decode" in text or "user-defined function" in text:
        return damage(path, f"cannot be used: it is damaged ({text})")
    return RunFolderError(f"the ledger {path} cannot be used: {text}; committed work is kept")


def find_damage(connection: sqlite3.Connection) -> list[str]:
    """What is wrong with the file and with its rows, a line each; nothing when it is sound."""
    lines = [str(line) for (line,) in connection.execute("PRAGMA integrity_check(20)").fetchall()]
    return find_damaged_rows(connection) if lines == ["ok"] else lines


def find_damaged_rows(connection: sqlite3.Connection, tables: tuple[str, ...] | None = None) -> list[str]:
    """Which tables, of those given or of all, hold rows that are not as they were written."""
    lines = []
    for table in tables or list_columns():
        (count,) = connection.execute(f"SELECT count(*) FROM {table} WHERE NOT {is_sound(table)}").fetchone()  # noqa: S608
        if count:
            lines.append(f"{count} rows of the table {table} do not match their checksums")
    count, last = connection.execute("SELECT count(*), coalesce(max(id), 0) FROM calls").fetchone()
    return lines if count == last else [*lines, f"{last - count} paid calls are missing"]


def _prepare(connection: sqlite3.Connection, path: Path, *, writable: bool) -> None:
    connection.create_function("row_checksum", -1, row_checksum, deterministic=True)
    # What SQLite advises for files that are not trusted.
    for pragma in ("busy_timeout = 1000", "trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
        connection.execute(f"PRAGMA {pragma}")
    if writable:  # one process owns the file while it writes
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    is_new = _check_schema(connection, path)
    if is_new and not writable:
        raise RunCutShortError(f"there is no run in {path.parent}: {path.name} has no tables")
    if not is_new:
        _check_contents(connection, path)
    if writable:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # a committed row survives a power cut
    if is_new:
        _make_tables(connection)


def _make_tables(connection: sqlite3.Connection) -> None:
    """The tables and the format, all or nothing."""
    checksum = row_checksum("facts", FORMAT.name, str(VERSION))
    connection.executescript(
        f"BEGIN IMMEDIATE; {TABLES} INSERT INTO facts VALUES ('{FORMAT.name}', '{VERSION}', {checksum}); COMMIT"  # noqa: S608
    )


def _check_schema(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the file is new; raises RunFolderError where it holds other tables than ours."""
    found = set(read_schema(connection))
    if not found:
        pages, size = connection.execute("PRAGMA page_count").fetchone()[0], path.stat().st_size
        if size and not pages:
            raise damage(path, f"is damaged: it is cut to {size} bytes")
        return True
    version = _read_version(connection, found)
    if version is not None and version != str(VERSION):
        raise RunFolderError(
            f"the run folder {path.parent} has format {version}; this version of xaiaug reads format "
            f"{VERSION}. Use another folder for a new run, or open it with the version of xaiaug that made it"
        )
    strange, missing = found - list_schema(), list_schema() - found
    if strange or missing:
        parts = [_list_names(part, rows) for part, rows in (("holds", strange), ("lacks", missing)) if rows]
        raise damage(path, f"is not one that xaiaug wrote: it {' and '.join(parts)}")
    if version is None:
        raise damage(path, "does not state its format")
    return False


def _read_version(connection: sqlite3.Connection, schema: set[tuple[str, ...]]) -> str | None:
    if not any(row[:3] == ("table", "facts", "facts") and _PLAIN_TABLE.fullmatch(row[3]) for row in schema):
        return None
    found = connection.execute("SELECT substr(value, 1, 20) FROM facts WHERE name = ?", (FORMAT.name,)).fetchone()
    return None if found is None else str(found[0])


def _check_contents(connection: sqlite3.Connection, path: Path) -> None:
    pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    if pages * size <= ALL_CHECKED:
        found = find_damage(connection)
    elif pages * size <= STRUCTURE_CHECKED:
        lines = [str(line) for (line,) in connection.execute("PRAGMA quick_check(20)").fetchall()]
        found = find_damaged_rows(connection, PAID) if lines == ["ok"] else lines
    else:
        found = find_damaged_rows(connection, PAID)
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise damage(path, f"is damaged: {'; '.join(found[:3])}{more}")


def _list_names(what: str, rows: Set[tuple[str, ...]]) -> str:
    names = sorted(f"{kind} {name[:80]}" for kind, name, *_ in rows)
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{what} the {', '.join(names[:5])}{more}"


def _names_another_file(journal: Path) -> bool:
    try:
        with journal.open("rb") as file:
            file.seek(-len(_MAGIC), os.SEEK_END)
            return file.read() == _MAGIC
    except OSError:  # there is none, or it is too short
        return False


def _exists(path: Path) -> bool:
    return os.path.lexists(path)  # Path.exists follows links
