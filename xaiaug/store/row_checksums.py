"""Checksums of the ledger's rows: SQLite notices damage to its structure, not to what stands in a row."""

from __future__ import annotations

import functools
import sqlite3
import zlib
from collections.abc import Iterable
from contextlib import closing

from .schema import TABLES


def row_checksum(*values: object) -> int:
    """CRC-32 of values with their types; finds damage, not forgery."""
    checksum = 0
    for value in values:
        data = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
        checksum = zlib.crc32(b"%s %d " % (type(value).__name__.encode(), len(data)), checksum)
        checksum = zlib.crc32(data, checksum)
    return checksum


@functools.cache
def list_schema() -> frozenset[tuple[str, ...]]:
    """Kind, name, table and SQL of all that a ledger holds, as SQLite keeps them."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(TABLES)
        return frozenset(read_schema(connection))


def read_schema(connection: sqlite3.Connection, most: int = 1_000) -> list[tuple[str, ...]]:
    """Kind, name, table and SQL of what a database holds."""
    found = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchmany(most)
    return [tuple(" ".join(str(text).split()) for text in row) for row in found]


@functools.cache
def list_columns() -> dict[str, tuple[str, ...]]:
    """The columns of each table, without the checksum."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(TABLES)
        tables = [name for kind, name, _, _ in list_schema() if kind == "table"]
        columns = {table: connection.execute(f"PRAGMA table_info({table})").fetchall() for table in tables}
        return {table: tuple(name for _, name, *_ in found)[:-1] for table, found in sorted(columns.items())}


@functools.cache
def is_sound(table: str) -> str:
    """SQL: whether a row of a table is as it was written."""
    return f"({_checksum(table, (f'{table}.{name}' for name in list_columns()[table]))} IS {table}.checksum)"


@functools.cache
def insert(table: str, conflict: str = "ABORT") -> str:
    """SQL that adds a row, given as the values of its columns.

    Args:
        table: of the ledger.
        conflict: what becomes of a row that is there: "ABORT", "IGNORE" (it stands) or "REPLACE".
    """
    places = [f"?{number}" for number in range(1, len(list_columns()[table]) + 1)]
    return f"INSERT OR {conflict} INTO {table} VALUES ({', '.join(places)}, {_checksum(table, places)})"  # noqa: S608


@functools.cache
def seal(table: str, where: str) -> str:
    """SQL that gives changed rows their checksum."""
    return f"UPDATE {table} SET checksum = {_checksum(table, list_columns()[table])} WHERE {where}"  # noqa: S608


def _checksum(table: str, values: Iterable[str]) -> str:
    return f"row_checksum('{table}', {', '.join(values)})"
