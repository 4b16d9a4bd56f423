"""A ledger that forgot paid calls is refused, and no crash makes a sound one look like that."""

import json
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xaiaug.calls import Calls
from xaiaug.engines import LocalEngine
from xaiaug.errors import RunFolderError
from xaiaug.records import OpenCall, RawReply
from xaiaug.results.maintenance import collect_garbage, status, verify
from xaiaug.stages import StageRuntime
from xaiaug.stages.chunks import Item, Stage, complete
from xaiaug.store import CallLedger, Reader, Store
from xaiaug.store.blobs import write_atomically
from xaiaug.store.integrity import sweep
from xaiaug.store.run_ledger import PaidCount, RunLedger
from xaiaug.store.schema import CASES, SESSIONS
from xaiaug.store.status_file import format_status, read_paid_count

PRICE = {"model": "m", "source": "user", "date": "2026-01-01", "usd_per_mtok": {"input": ["1"], "output": ["2"]}}
RUNNING = {"state": "running", "at": "2026-01-01"}


def pay(store, number, cost=3):
    """A call with its reply."""
    calls = CallLedger(store.ledger, store.blobs)
    calls.settle(calls.intend(f"key {number}", PRICE, 5), RawReply({"text": f"{number}"}, {"input_tokens": 1}), cost)


def copy(run, target):
    """What a kill at this moment would leave: the files as they are on disk."""
    shutil.copytree(run, target, ignore=shutil.ignore_patterns(".lock"))
    return target


@pytest.fixture(scope="module")
def paid(tmp_path_factory):
    """A run folder with three replies and a call that was cut off."""
    run = tmp_path_factory.mktemp("paid") / "run"
    with Store(run) as store:
        store.write_status(RUNNING)
        for number in range(3):
            pay(store, number)
        CallLedger(store.ledger, store.blobs).intend("cut off", PRICE, 5)
        store.checkpoint()
    return run


@pytest.fixture
def run(paid, tmp_path):
    return copy(paid, tmp_path / "run")


def replace_by_a_new_one(ledger):
    ledger.unlink()
    RunLedger(ledger, writable=True).close()


LOSSES = {
    "removed": lambda ledger: ledger.unlink(),
    "emptied": lambda ledger: ledger.write_bytes(b""),
    "truncated": lambda ledger: ledger.write_bytes(ledger.read_bytes()[: 3 * 4096]),
    "new": replace_by_a_new_one,
}
LEFT = {
    "blobs and status.json": lambda run: None,
    "blobs": lambda run: (run / "status.json").unlink(),
    "status.json": lambda run: shutil.rmtree(run / "blobs"),
}


@pytest.mark.parametrize("left", LEFT)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_lost_ledger_is_refused_by_all_that_open_a_run_and_nothing_is_changed(run, loss, left):
    LOSSES[loss](run / "ledger.sqlite")
    LEFT[left](run)
    before = {path: path.stat().st_size for path in run.rglob("*") if path.name != ".lock"}
    for opens in (Store, Reader, status, verify, collect_garbage):
        with pytest.raises(RunFolderError, match=r"ledger\.sqlite .*(from a backup).*(another folder)"):
            opens(run)
    assert {path: path.stat().st_size for path in run.rglob("*") if path.name != ".lock"} == before


def test_the_error_names_what_is_missing(run):
    with Store(run) as store:
        store.write_status(RUNNING)
    earlier = copy(run, run.with_name("earlier")) / "ledger.sqlite"
    with Store(run) as store:
        store.write_status(RUNNING)
        pay(store, 3, cost=250_000_000_000)
        store.checkpoint()
    shutil.copy(earlier, run / "ledger.sqlite")
    with pytest.raises(
        RunFolderError,
        match=r"it has 4 calls with 3 replies for \$0\.0000, but status.json counts 5 "
        r"calls with 4 replies for \$0\.2500",
    ):
        Store(run)
    (run / "status.json").unlink()
    Store(run).close()  # the call that was cut off may be that of the reply: it still counts at its maximum
    with Store(run) as store:
        pay(store, 4)
    shutil.copy(earlier, run / "ledger.sqlite")
    with pytest.raises(
        RunFolderError, match=r"2 replies in blobs, such as [0-9a-f]{40}\.json, are not in it, and only 1"
    ):
        Store(run)


def test_what_a_person_puts_into_a_new_run_folder_is_no_lost_ledger(tmp_path):
    (tmp_path / "blobs" / "ab").mkdir(parents=True)
    (tmp_path / "blobs" / "ab" / "notes.json").write_text("{}")
    (tmp_path / "status.json").write_text("[]")
    Store(tmp_path).close()


def test_a_ledger_without_paid_calls_may_be_lost(tmp_path):
    with Store(tmp_path) as store:
        store.write_status(RUNNING)
        store.commit("k", CASES, [1])
    (tmp_path / "ledger.sqlite").write_bytes(b"")
    with pytest.raises(RunFolderError, match=r"there is no run in .*: ledger.sqlite is empty"):
        Reader(tmp_path)
    with Store(tmp_path) as store:
        assert store.rows("k") is None


# The -wal ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A run that was killed after six replies, and their cost; the ledger's own file has the first two."""
    folder = tmp_path_factory.mktemp("killed")
    with Store(folder / "run") as store:
        store.write_status(RUNNING)
        for number in range(6):
            if number == 2:
                store.checkpoint()
            pay(store, number)
        return copy(folder / "run", folder / "killed")


def test_a_killed_run_lacks_nothing(killed, tmp_path):
    with Store(copy(killed, tmp_path / "run")) as store:
        assert store.ledger.count_paid() == PaidCount(6, 6, 18)


@pytest.mark.parametrize("keep_status", [True, False])
def test_a_lost_wal_is_refused(killed, tmp_path, keep_status):
    run = copy(killed, tmp_path / "run")
    (run / "ledger.sqlite-wal").unlink()
    if not keep_status:
        (run / "status.json").unlink()
    for opens in (Reader, Store):
        with pytest.raises(RunFolderError, match="lacks paid calls"):
            opens(run)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_wal_that_is_cut_or_changed_anywhere_is_refused_or_forgets_no_money(killed, tmp_path, data):
    run = tmp_path / "run"
    shutil.rmtree(run, ignore_errors=True)
    wal = copy(killed, run) / "ledger.sqlite-wal"
    whole = wal.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    wal.write_bytes(whole[:at] + data.draw(st.sampled_from([b"", bytes([whole[at] ^ 1]) + whole[at + 1 :]])))
    try:
        store = Store(run)
    except RunFolderError as error:
        assert "from a backup" in str(error)
        return
    with store:
        spending = CallLedger(store.ledger, store.blobs).spending()
        assert spending.replies + spending.unanswered == 6
        assert spending.settled + spending.open >= 18


def test_a_wal_without_its_ledger_is_not_thrown_away(killed, tmp_path):
    run = copy(killed, tmp_path / "run")
    (run / "ledger.sqlite").write_bytes(b"")
    for opens in (Reader, Store):
        with pytest.raises(RunFolderError, match=r"is empty, but ledger.sqlite-wal is there"):
            opens(run)
    assert (run / "ledger.sqlite-wal").stat().st_size


def test_the_ledger_needs_no_wal_at_the_end_of_a_stage(tmp_path):
    with Store(tmp_path / "run") as store:
        store.write_status(RUNNING)
        runtime = StageRuntime(store, LocalEngine(), lambda _: None)

        def work(values):
            pay(store, values[0])
            return values

        complete(runtime, Stage(CASES, "pay", None, 1), [Item(i, i) for i in range(3)], work)
        assert not (tmp_path / "run" / "ledger.sqlite-wal").stat().st_size
        assert read_paid_count(tmp_path / "run") == PaidCount(3, 3, 9)
        left = copy(tmp_path / "run", tmp_path / "left")
    with Store(left) as store:
        assert store.ledger.count_paid() == PaidCount(3, 3, 9)
        assert list(store.ledger.all_rows()) == [0, 1, 2]


# Crashes ----------------------------------------------------------------------------------------------------------


def test_a_kill_between_a_reply_and_its_commit_is_no_loss_and_stays_none(tmp_path, monkeypatch):
    with Store(tmp_path / "run") as store:
        calls = CallLedger(store.ledger, store.blobs)
        (intent,) = calls.intend_batch("tag", [OpenCall("key", PRICE, 5)])
        with monkeypatch.context() as patch:
            patch.setattr(calls, "_group", None)  # the reply is written, its commit never comes
            with pytest.raises(AttributeError):
                calls.settle(intent, RawReply({"text": "a"}, {}), 3)
        left = copy(tmp_path / "run", tmp_path / "left")
    Reader(left).close()
    with Store(left) as store:
        # The service gives another text for the same call, so that nothing is open any more.
        CallLedger(store.ledger, store.blobs).settle(intent, RawReply({"text": "b"}, {}), 3)
        assert len(list((left / "blobs").rglob("*.json"))) == 2
    with Store(left) as store:
        assert store.ledger.count_paid() == PaidCount(1, 1, 3)
        assert sweep(store, keep_unfinished=False), "it belongs to no call"
    Store(left).close()


def test_the_count_in_status_json_is_never_ahead_of_the_ledger(tmp_path, monkeypatch):
    counts = []
    with Store(tmp_path) as store:
        real = write_atomically

        def look(run, name, data):
            counts.append((PaidCount(*list(json.loads(data)["paid"].values())[:3]), store.ledger.count_paid()))
            return real(run, name, data)

        monkeypatch.setattr("xaiaug.store.store.write_atomically", look)
        calls = CallLedger(store.ledger, store.blobs)
        for number in range(4):
            pay(store, number)
            store.write_status(RUNNING)
            calls.intend("open", PRICE, 5)
            store.write_status(RUNNING)
            calls.release(calls.intend("released", PRICE, 5))
        store.checkpoint()
        assert len(counts) == 9 and all(there <= here for pair in counts for there, here in zip(*pair, strict=True))
        assert read_paid_count(tmp_path) == store.ledger.count_paid() == PaidCount(12, 4, 12)


# status.json ------------------------------------------------------------------------------------------------------


def test_a_count_that_is_ahead_of_the_ledger_is_refused_and_one_behind_is_not(run):
    for count, ahead in (
        (PaidCount(4, 3, 9), False),
        (PaidCount(2, 1, 3), False),
        (PaidCount(5, 3, 9), True),
        (PaidCount(4, 4, 9), True),
        (PaidCount(4, 3, 10), True),
    ):
        (run / "status.json").write_bytes(format_status(RUNNING, count))
        if ahead:
            with pytest.raises(RunFolderError, match="lacks paid calls"):
                Store(run)
        else:
            Store(run).close()


DAMAGE = {
    "missing": lambda path: path.unlink(),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "a digit": lambda path: path.write_text(path.read_text().replace('"sent": 4', '"sent": 9')),
    "no count": lambda path: path.write_text(json.dumps(RUNNING)),
    "not JSON": lambda path: path.write_bytes(b"\xff" * 100),
    "huge": lambda path: path.write_bytes(b" " * (1 << 21)),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "wrong types": lambda path: path.write_text('{"state": 1, "at": null, "paid": []}'),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_missing_or_damaged_count_is_told_and_taken_from_the_ledger(run, damage):
    with Store(run) as store:
        store.ledger.set_fact(SESSIONS, [{"started": "s", "ended": "then", "seconds": 1.0, "state": "stopped"}])
    DAMAGE[damage](run / "status.json")
    assert any(line.startswith("status.json") for line in verify(run))
    told = status(run)
    assert told["state"] in {"ended from outside", "stopped"} and told["costs"]["calls"] == 3
    if damage == "a folder":
        (run / "status.json").rmdir()  # the next run would say that it is in the way
    with Store(run) as store:
        assert store.lacks_count
        store.write_status(RUNNING)
    with Store(run) as store:
        assert not store.lacks_count
    assert read_paid_count(run) == PaidCount(4, 3, 9)


def test_calls_in_a_run_are_counted_from_the_ledger(tmp_path):
    with Store(tmp_path) as store:
        pay(store, 0)
    with Store(tmp_path) as store:
        calls = Calls(CallLedger(store.ledger, store.blobs), budget_usd=None)
        assert calls.summary()["calls"] == store.ledger.count_paid().answered == 1
