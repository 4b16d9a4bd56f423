"""A full disk, a broken one, a torn write and a copy taken at any moment cost work, never what was committed."""

import errno
import json
import os
import shutil
import sqlite3
import time

import pytest
from fakes import ColourCritic, paint_folder
from nursery import run

from xaiaug.errors import RunFolderError
from xaiaug.results.maintenance import verify
from xaiaug.store import CallLedger, Reader, Store
from xaiaug.store.schema import CASES, CRITIQUE
from xaiaug.testing import Loopback, Reply

OPTIONS = {"images": 1}
# Each of some 150 writes is a run and a half: all of them take minutes.
EVERY = pytest.mark.parametrize("every", [61, pytest.param(1, marks=pytest.mark.slow)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return paint_folder(tmp_path_factory.mktemp("painted"), {"train": 10, "guide": 12, "validation": 4, "test": 8})


@pytest.fixture(scope="module")
def server():
    with Loopback(lambda request: Reply(f"because of {request.text.split(':')[0]}")) as server:
        yield server


@pytest.fixture(scope="module")
def untroubled(folder, server, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "untroubled"
    run(folder, run_dir, url=server.url, **OPTIONS)
    return run_dir


def told(run_dir):
    report = json.loads((run_dir / "report.json").read_text())
    return report, report.pop("run")["costs"]


def check(run_dir, untroubled):
    (report, costs), (expected, cheapest) = told(run_dir), told(untroubled)
    assert report == expected
    assert costs["calls"] == cheapest["calls"]
    assert verify(run_dir) == []


class Writes:
    """Stands before every write of a run: file syncs and renames, and each change of the ledger.

    Args:
        monkeypatch: of the test.
        before: called with the number of the write, from 0; what it raises is what the write raises.
    """

    def __init__(self, monkeypatch, before):
        self.count, self._before = 0, before
        fsync, replace, fdopen, connect = os.fsync, os.replace, os.fdopen, sqlite3.connect
        writes = self

        class Torn:
            """A file that takes half of what it is given when its turn has come."""

            def __init__(self, file):
                self._file = file

            def __enter__(self):
                return self

            def __exit__(self, *_):
                self._file.close()

            def __getattr__(self, name):
                return getattr(self._file, name)

            def write(self, data):
                try:
                    writes.hit()
                except OSError:
                    self._file.write(data[: len(data) // 2])
                    self._file.flush()
                    raise
                return self._file.write(data)

        class Connection(sqlite3.Connection):
            def execute(self, sql, *values):
                writes.change(sql)
                return super().execute(sql, *values)

            def executemany(self, sql, *values):
                writes.change(sql)
                return super().executemany(sql, *values)

        def hitting(real):
            def call(*arguments, **named):
                writes.hit()
                return real(*arguments, **named)

            return call

        monkeypatch.setattr(os, "fsync", hitting(fsync))
        monkeypatch.setattr(os, "replace", hitting(replace))
        monkeypatch.setattr(os, "fdopen", lambda *a, **k: Torn(fdopen(*a, **k)))
        monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=Connection))

    def hit(self):
        number, self.count = self.count, self.count + 1
        self._before(number)

    def change(self, sql):
        if sql.startswith(("INSERT", "UPDATE", "DELETE")):
            try:
                self.hit()
            except OSError as error:
                full = error.errno == errno.ENOSPC
                raise sqlite3.OperationalError("database or disk is full" if full else "disk I/O error") from error


def count_writes(folder, server, run_dir):
    with pytest.MonkeyPatch.context() as patch:
        writes = Writes(patch, lambda _: None)
        run(folder, run_dir, url=server.url, **OPTIONS)
    return writes.count


@EVERY
def test_a_fault_at_any_write_is_told_and_the_run_goes_on_afterwards(folder, server, untroubled, tmp_path, every):
    count = count_writes(folder, server, tmp_path / "counted")
    assert count > 100
    for number in range(every // 2, count, every):
        kind = (errno.ENOSPC, errno.EIO)[number // every % 2]

        def fail(now, number=number, kind=kind):
            if now == number:
                raise OSError(kind, os.strerror(kind))

        run_dir = tmp_path / f"run-{number}"
        with pytest.MonkeyPatch.context() as patch:
            Writes(patch, fail)
            try:
                run(folder, run_dir, url=server.url, **OPTIONS)
            except RunFolderError as error:
                assert str(run_dir) in str(error) or "ledger" in str(error)
        run(folder, run_dir, url=server.url, **OPTIONS)
        check(run_dir, untroubled)
        shutil.rmtree(run_dir)


@EVERY
def test_a_copy_taken_between_any_two_writes_goes_on_to_the_same_end(folder, server, untroubled, tmp_path, every):
    copies = []

    def copy(number):
        if number % every == 0 and (tmp_path / "run").exists():
            copies.append(tmp_path / f"copy-{number}")
            shutil.copytree(tmp_path / "run", copies[-1])

    with pytest.MonkeyPatch.context() as patch:
        Writes(patch, copy)
        run(folder, tmp_path / "run", url=server.url, **OPTIONS)
    assert len(copies) > 100 // every
    for run_dir in copies:
        run(folder, run_dir, url=server.url, **OPTIONS)
        check(run_dir, untroubled)
        shutil.rmtree(run_dir)


def test_a_disk_that_is_really_full_for_the_ledger_loses_nothing_committed(tmp_path):
    with Store(tmp_path) as store:
        store.begin(CASES, ["first", "second"], 2)
        store.commit("first", CASES, [{"text": "kept"}])
        (pages,) = store.ledger.select("PRAGMA page_count")[0]
        store.ledger.select(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(RunFolderError, match="full"):
            store.commit("second", CASES, [{"text": "x" * 1_000_000}])
        assert store.rows("first") == [{"text": "kept"}]
    with Store(tmp_path) as store:
        assert store.rows("first") == [{"text": "kept"}]
        assert store.rows("second") is None


def test_a_corrupt_ledger_is_told(untroubled, folder, tmp_path):
    shutil.copytree(untroubled, tmp_path / "run")
    (tmp_path / "run" / "ledger.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(RunFolderError, match="ledger"):
        run(folder, tmp_path / "run")


@pytest.mark.parametrize("tear", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:-1])])
def test_a_missing_or_torn_blob_is_made_again(untroubled, folder, server, tmp_path, tear):
    shutil.copytree(untroubled, tmp_path / "run")
    for path in sorted((tmp_path / "run" / "blobs").glob("*/*")):
        if path.suffix != ".json":  # a raw reply is asked, and paid, for again
            tear(path)
    assert verify(tmp_path / "run")
    run(folder, tmp_path / "run", url=server.url, **OPTIONS)
    check(tmp_path / "run", untroubled)


def test_a_clock_that_jumps_changes_times_alone(folder, server, untroubled, tmp_path, monkeypatch):
    times = iter([4e9, 1.0, 2e9, 0.0] * 10_000)
    monkeypatch.setattr(time, "time", lambda: next(times))
    run(folder, tmp_path / "run", url=server.url, **OPTIONS)
    check(tmp_path / "run", untroubled)


class Unkeyed(ColourCritic):
    """A critic whose source cannot be read."""

    def identity(self):
        return {**super().identity(), "source": None}


def test_what_cannot_be_keyed_is_done_again_and_says_so(folder, tmp_path):

    first = run(folder, tmp_path / "run", critic=Unkeyed())
    reader = Reader(tmp_path / "run")
    keys, _ = reader.stages()[CRITIQUE]
    reader.close()
    again = run(folder, tmp_path / "run", critic=Unkeyed())
    reader = Reader(tmp_path / "run")
    assert reader.stages()[CRITIQUE][0] != keys
    reader.close()
    assert any("Unkeyed" in note.text for note in again.report.notes)
    assert first.table() == again.table()


def test_a_reply_that_was_paid_for_is_synced_with_its_folder(tmp_path, monkeypatch):
    from xaiaug.records import RawReply

    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_mode), real(handle))[1])
    with Store(tmp_path) as store:
        money = CallLedger(store.ledger, store.blobs)
        intent = money.intend("key", {"model": "m"}, 5)
        money.settle(intent, RawReply({"text": "dear"}, {"input_tokens": 1}), 3)
    import stat

    assert any(stat.S_ISDIR(mode) for mode in synced)
