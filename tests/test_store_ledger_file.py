"""A ledger that is damaged, foreign or no file gives one clear error: no traceback, no hang, no wrong result."""

import os
import shutil
import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xaiaug import open_run
from xaiaug.errors import RunCutShortError, RunFolderError
from xaiaug.records import OpenCall, RawReply
from xaiaug.results.maintenance import collect_garbage, status, verify
from xaiaug.store import Blob, CallLedger, Reader, Store
from xaiaug.store.row_checksums import insert, list_columns, row_checksum
from xaiaug.store.run_ledger import RunLedger
from xaiaug.store.schema import CASES, SETTINGS, UNTIL

PRICE = {"model": "m", "source": "user", "date": "2026-01-01", "usd_per_mtok": {"input": ["1"], "output": ["2"]}}
COMMANDS = (status, verify, collect_garbage, open_run, Store)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A run folder with rows in every table."""
    run = tmp_path_factory.mktemp("sound") / "run"
    with Store(run) as store:
        store.begin(CASES, ["first", "second"], 2)
        store.commit("first", CASES, [{"text": "kept"}, {"file": Blob(b"hello", ".txt")}])
        store.ledger.set_fact(SETTINGS, {"budget": {"usd": 5}})
        calls = CallLedger(store.ledger, store.blobs)
        for number in range(3):
            calls.settle(
                calls.intend(f"key {number}", PRICE, 5), RawReply({"text": f"{number}"}, {"input_tokens": 1}), 3
            )
        calls.intend_batch("tag", [OpenCall("a", PRICE, 5), OpenCall("b", PRICE, 5)])
        calls.name_batch("tag", "name")
        store.write_status({"state": "stopped", "at": "2026-01-01"})
    return run


@pytest.fixture
def run(sound, tmp_path):
    shutil.copytree(sound, tmp_path / "run")
    return tmp_path / "run"


def contents(reader):
    calls = CallLedger(reader.ledger, reader.blobs)
    return (
        reader.stages(),
        list(reader.rows(CASES)),
        reader.get_fact(SETTINGS),
        calls.spending(),
        calls.open_batches(),
        [calls.reply(f"key {number}") for number in range(3)],
        sorted(map(str, reader.ledger.stamped_files("blobs"))),
    )


def read_all(run):
    reader = Reader(run)
    try:
        return contents(reader)
    finally:
        reader.close()


def refused(run, match, commands=COMMANDS):
    for command in commands:
        with pytest.raises(RunFolderError, match=match) as caught:
            command(run)
        assert "another folder" in str(caught.value)


PLACES = st.floats(0, 1, exclude_max=True)  # of the file
MANY = pytest.mark.parametrize("examples", [80, pytest.param(4_000, marks=pytest.mark.slow)])


@MANY
def test_bytes_changed_anywhere_in_the_ledger_are_found_or_change_nothing(sound, run, examples):
    settings(max_examples=examples, deadline=None)(
        given(PLACES, st.binary(min_size=1, max_size=40), st.booleans())(
            lambda place, change, flip: change_bytes(sound, run, place, change, flip)
        )
    )()


def change_bytes(sound, run, place, change, flip):
    content = (sound / "ledger.sqlite").read_bytes()
    at = int(place * len(content))
    old = content[at : at + len(change)]
    new = bytes(a ^ b for a, b in zip(old, change, strict=False)) if flip else change[: len(old)]
    (run / "ledger.sqlite").write_bytes(content[:at] + new + content[at + len(old) :])
    try:
        found = read_all(run)
        problems = verify(run)
    except RunFolderError as error:
        assert "ledger.sqlite" in str(error) or "has format" in str(error)
        return
    assert problems == []
    assert found == read_all(sound)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 1 << 16))
def test_a_ledger_that_is_cut_anywhere_is_refused(sound, run, length):
    content = (sound / "ledger.sqlite").read_bytes()
    if length >= len(content):
        return
    (run / "ledger.sqlite").write_bytes(content[:length])
    refused(run, "ledger.sqlite", (Reader, Store))


def change(run, *statements):
    connection = sqlite3.connect(run / "ledger.sqlite")
    for sql in statements:
        connection.execute(sql)
    connection.commit()
    connection.close()


@pytest.mark.parametrize("table", sorted(list_columns()))
def test_a_changed_row_of_any_table_is_found(run, table):
    column = list_columns()[table][-1]
    change(run, f"UPDATE {table} SET {column} = '77' WHERE rowid = (SELECT min(rowid) FROM {table})")  # noqa: S608
    refused(run, rf"damaged: .*rows of the table {table} do not match|has format 77")


def test_a_deleted_call_is_found_though_all_else_is_as_it_was(run):
    (run / "status.json").unlink()
    change(run, "DELETE FROM calls WHERE id = 4")
    refused(run, "1 paid calls are missing")


BOMB = "hex(zeroblob(40000000))"
FOREIGN = {
    "holds the view v": ("CREATE VIEW v AS SELECT 1",),
    "holds the trigger t": ("CREATE TRIGGER t AFTER INSERT ON facts BEGIN DELETE FROM calls; END",),
    "holds the table calls": ("ALTER TABLE calls ADD COLUMN more",),
    "holds the table mine": ("CREATE TABLE mine (a)",),
    "holds the index mine": ("CREATE INDEX mine ON calls (at)",),
    "lacks the index calls_by_key": ("DROP INDEX calls_by_key",),
    "lacks the .*table stamps": ("DROP TABLE stamps",),
    "holds the view facts": (
        "DROP TABLE facts",
        f"CREATE VIEW facts AS SELECT 'version' AS name, {BOMB} AS value, 0 AS checksum",
    ),
    "holds the table facts": (
        "DROP TABLE facts",
        f"CREATE TABLE facts (name TEXT, value TEXT AS ({BOMB}), checksum INTEGER)",
        "INSERT INTO facts (name, checksum) VALUES ('version', 0)",
    ),
    "does not state its format": ("DELETE FROM facts WHERE name = 'version'",),
}


@pytest.mark.parametrize("match", FOREIGN)
def test_another_schema_is_refused_before_anything_in_it_is_asked(run, match):
    change(run, *FOREIGN[match])
    refused(run, match)


def test_a_ledger_of_another_format_is_refused_by_one_line_whatever_its_tables_are(run):
    change(
        run,
        *(f"DROP TABLE {table}" for table in list_columns()),
        "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
        "INSERT INTO facts VALUES ('version', '2')",
    )
    for command in COMMANDS:
        with pytest.raises(RunFolderError, match="has format 2; this version of xaiaug reads format 3"):
            command(run)


def put(make):
    def replace(path):
        path.unlink(missing_ok=True)
        make(path)

    return replace


PLACED = {
    "is a folder": put(lambda path: path.mkdir()),
    "is a FIFO": put(os.mkfifo),
    "(is a link|has links inside)": put(lambda path: path.symlink_to("/dev/zero")),
}


@pytest.mark.parametrize("suffix", ["", "-wal", "-journal", "-shm"])
@pytest.mark.parametrize("match", PLACED)
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders")
def test_what_is_no_file_is_refused_in_the_place_of_the_ledger_and_beside_it(run, match, suffix):
    PLACED[match](run / f"ledger.sqlite{suffix}")
    for command in COMMANDS:
        with pytest.raises(RunFolderError, match=match):
            command(run)


@pytest.mark.parametrize("content", [bytes(1 << 20), b"no database" * 1000, b"SQLite format 3\0" + bytes(5000)])
def test_what_is_no_database_is_refused(run, content):
    (run / "ledger.sqlite").write_bytes(content)
    refused(run, "ledger.sqlite cannot be used: it is damaged")


def test_a_ledger_with_a_huge_hole_behind_it_reads_as_it_is(run, sound):
    os.truncate(run / "ledger.sqlite", 1 << 40)
    assert read_all(run) == read_all(sound)


def test_a_journal_that_names_another_file_is_refused_and_that_file_stays(run, tmp_path):
    (tmp_path / "mine.txt").write_text("irreplaceable")
    name = str(tmp_path / "mine.txt").encode()
    magic = bytes.fromhex("d9d505f920a163d7")
    checksum = sum(name).to_bytes(4, "big")
    page = (run / "ledger.sqlite").read_bytes()[:4096]
    header = (
        magic + (0).to_bytes(4, "big") + bytes(4) + (1).to_bytes(4, "big") + (512).to_bytes(4, "big") + b"\0\0\x10\0"
    )
    pointer = bytes(4) + name + len(name).to_bytes(4, "big") + checksum + magic
    (run / "ledger.sqlite-journal").write_bytes(header.ljust(512, b"\0") + page + pointer)
    refused(run, "ledger.sqlite-journal names another file")
    assert (tmp_path / "mine.txt").read_text() == "irreplaceable"


def test_a_row_that_is_damaged_while_a_run_goes_on_is_refused_when_it_is_read_and_never_sealed(tmp_path):
    with Store(tmp_path) as store:
        calls = CallLedger(store.ledger, store.blobs)
        intent = calls.intend("key", PRICE, 5)
        store.commit("k", CASES, [1])
        store.ledger.write("UPDATE calls SET worst = 1", ())
        store.ledger.write("UPDATE chunks SET rows = '[2]'", ())
        for read in (
            calls.spending,
            lambda: calls.settle(intent, RawReply({"text": "a"}, {}), 3),
            lambda: calls.release(intent),
            lambda: store.rows("k"),
            lambda: list(store.ledger.all_rows()),
        ):
            with pytest.raises(RunFolderError, match="does not match its checksum"):
                read()


def test_a_forged_row_that_is_no_json_is_refused(tmp_path):
    with Store(tmp_path) as store:
        for text in ("{", "[" * 100_000):
            store.ledger.write(
                "INSERT OR REPLACE INTO facts VALUES (?, ?, ?)",
                (UNTIL.name, text, row_checksum("facts", UNTIL.name, text)),
            )
            with pytest.raises(RunFolderError, match="a row is not JSON"):
                store.ledger.get_fact(UNTIL)


@given(
    st.lists(st.one_of(st.none(), st.integers(), st.text(), st.binary()), max_size=4),
    st.lists(st.one_of(st.none(), st.integers(), st.text(), st.binary()), max_size=4),
)
def test_values_with_equal_checksums_are_equal(first, second):
    """True of all values this small, unless 32 bits meet by chance."""
    same = [(type(value), value) for value in first] == [(type(value), value) for value in second]
    assert (row_checksum(*first) == row_checksum(*second)) == same


def test_reading_writes_nothing_even_where_a_run_was_killed(run, tmp_path):
    with Store(run) as store:
        store.ledger.set_fact(UNTIL, "report")
        shutil.copytree(run, tmp_path / "killed", ignore=shutil.ignore_patterns(".lock"))
    killed = tmp_path / "killed"
    before = {name: (killed / name).read_bytes() for name in ("ledger.sqlite", "ledger.sqlite-wal", "status.json")}
    ledger = RunLedger(killed / "ledger.sqlite", writable=False)
    assert ledger.get_fact(UNTIL) == "report"
    with pytest.raises(RunFolderError, match="readonly"):
        ledger.set_fact(UNTIL, "images")
    ledger.close()
    assert {name: (killed / name).read_bytes() for name in before} == before


def test_a_change_that_a_kill_cut_short_is_undone_by_the_next_run_and_told_until_then(run, tmp_path):
    connection = sqlite3.connect(run / "ledger.sqlite", isolation_level=None)
    connection.create_function("row_checksum", -1, row_checksum)
    connection.execute("PRAGMA cache_size = 1")  # changes reach the file before they are committed
    connection.execute("BEGIN")
    connection.executemany(insert("facts"), [(f"fact {number}", '"' + "x" * 4000 + '"') for number in range(200)])
    shutil.copytree(run, tmp_path / "killed")
    connection.close()
    for command in (status, verify, collect_garbage, open_run):
        with pytest.raises(RunCutShortError, match="killed in the middle of a change. Rerun the same command"):
            command(tmp_path / "killed")
    Store(tmp_path / "killed").close()
    assert read_all(tmp_path / "killed") == read_all(run)
