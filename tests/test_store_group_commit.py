"""Changes of threads are committed together, each whole; what fails is undone alone, an interrupt stops no other."""

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from xaiaug.errors import RunFolderError
from xaiaug.store.group_commit import GroupCommit


class Table:
    """A table whose commits wait for a signal, and are counted."""

    def __init__(self, path) -> None:
        self.connection = sqlite3.connect(path, check_same_thread=False)
        self.connection.execute("CREATE TABLE numbers (number INTEGER UNIQUE)")
        self.lock = threading.RLock()
        self.entered, self.goes_on = threading.Event(), threading.Event()
        self.commits = 0
        self.breaks: list[BaseException] = []

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        with self.lock, self.connection:
            yield self.connection
            self.entered.set()
            assert self.goes_on.wait(60)
            if self.breaks:
                raise self.breaks.pop()
            self.commits += 1

    def numbers(self) -> list[int]:
        return [number for (number,) in self.connection.execute("SELECT number FROM numbers ORDER BY number")]


def insert(number: int):
    return lambda connection: connection.execute("INSERT INTO numbers VALUES (?)", (number,)).lastrowid


@pytest.fixture
def table(tmp_path) -> Table:
    return Table(tmp_path / "numbers.sqlite")


def gather(table: Table, group: GroupCommit, numbers: list[int], pool: ThreadPoolExecutor):
    """The first change waits for its commit until all others wait behind it."""
    futures = [pool.submit(group.run, insert(numbers[0]))]
    assert table.entered.wait(60)
    futures += [pool.submit(group.run, insert(number)) for number in numbers[1:]]
    while len(group._waiting) < len(numbers) - 1:
        threading.Event().wait(0.001)
    table.goes_on.set()
    return futures


def test_what_gathers_while_one_commits_is_one_commit(table):
    with ThreadPoolExecutor(20) as pool:
        results = [future.result() for future in gather(table, GroupCommit(table.changing), list(range(20)), pool)]
    assert sorted(results) == list(range(1, 21))
    assert table.numbers() == list(range(20))
    assert table.commits == 2


def test_a_change_that_fails_is_undone_alone(table):
    def half(connection: sqlite3.Connection) -> None:
        insert(100)(connection)
        raise ValueError("a damaged row")

    group = GroupCommit(table.changing)
    with ThreadPoolExecutor(4) as pool:
        futures = gather(table, group, [0, 1], pool)
        futures += [pool.submit(group.run, half), pool.submit(group.run, insert(2))]
        with pytest.raises(ValueError, match="damaged"):
            futures[2].result()
        assert [futures[place].exception() for place in (0, 1, 3)] == [None] * 3
    assert table.numbers() == [0, 1, 2]


def test_a_commit_that_fails_is_told_to_every_thread_whose_change_it_held(table):
    group = GroupCommit(table.changing)
    table.breaks = [OSError("disk full")]
    with ThreadPoolExecutor(4) as pool:
        first, *others = gather(table, group, [0, 1, 2], pool)
        with pytest.raises(OSError, match="disk full"):
            first.result()
        assert [other.exception() for other in others] == [None, None]
        table.breaks = [OSError("disk full again")]
        table.entered.clear()
        table.goes_on.clear()
        failed = [pool.submit(group.run, insert(7))]
        assert table.entered.wait(60)
        table.goes_on.set()
        with pytest.raises(OSError, match="again"):
            failed[0].result()
    assert table.numbers() == [1, 2]


def test_an_interrupt_ends_one_thread_and_another_commits_for_the_rest(table):
    group = GroupCommit(table.changing)
    table.breaks = [KeyboardInterrupt()]
    table.goes_on.set()
    together: list[threading.Barrier] = [threading.Barrier(3)]

    def run(number: int) -> str:
        together[0].wait(60)
        try:
            group.run(insert(number))
        except KeyboardInterrupt:
            return "interrupted"
        return "committed"

    with ThreadPoolExecutor(3) as pool:
        told = list(pool.map(run, range(3)))
    assert sorted(told) == ["committed", "committed", "interrupted"]
    assert table.numbers() == [number for number, each in enumerate(told) if each == "committed"]


def test_an_error_of_the_disk_in_a_change_is_raised_as_the_ledger_words_it_and_leaves_nothing(table):
    @contextmanager
    def changing() -> Iterator[sqlite3.Connection]:
        try:
            with table.changing() as connection:
                yield connection
        except sqlite3.Error as error:
            raise RunFolderError("the ledger cannot be written") from error

    def fail(connection: sqlite3.Connection) -> None:
        insert(1)(connection)
        raise sqlite3.OperationalError("disk I/O error")

    table.goes_on.set()
    group = GroupCommit(changing)
    with pytest.raises(RunFolderError, match="cannot be written"):
        group.run(fail)
    group.run(insert(2))
    assert table.numbers() == [2]
