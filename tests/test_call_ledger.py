"""The ledger of a run keeps every intent, reply and cost, whatever happens between two commits."""

import json
import shutil
import threading
from fractions import Fraction

import pytest

from xaiaug.calls import Calls, Ledger, MemoryLedger, Prices
from xaiaug.errors import BudgetSpentError, RunFolderError
from xaiaug.records import ModelSpending, RawReply, Spending
from xaiaug.store import CallLedger, Reader, Store
from xaiaug.store.integrity import problems, sweep

PRICE = {"model": "m", "source": "user", "date": "2026-01-01", "usd_per_mtok": {"input": ["1"], "output": ["2"]}}
REPLY = RawReply({"text": "ünï", "parts": [1, None]}, {"input_tokens": 3})


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "run") as opened:
        yield opened


@pytest.fixture
def money(store):
    made: Ledger = CallLedger(store.ledger, store.blobs)
    return made


def test_a_call_is_open_until_its_reply_or_its_release(money):
    first, second = money.intend("a", PRICE, 50), money.intend("b", PRICE, 7)
    assert money.spending() == Spending(0, 57, 0, 2, 0, (PRICE,), (ModelSpending("m", 0, 57),))
    money.settle(first, REPLY, 20)
    money.release(second)
    assert money.spending() == Spending(20, 0, 1, 0, 1, (PRICE,), (ModelSpending("m", 1),))


@pytest.mark.parametrize("kind", ["run", "memory"])
def test_the_largest_ratio_of_a_bill_to_its_worst_case_is_kept_by_model(money, kind):
    ledger: Ledger = money if kind == "run" else MemoryLedger()
    half = {**PRICE, "source": "user, half in a batch"}
    for price, worst, cost in ((PRICE, 10, 16), (PRICE, 100, 150), (half, 10, 13), (PRICE, 10, 2), (PRICE, 0, 0)):
        ledger.settle(ledger.intend("a", price, worst), REPLY, cost)
    ledger.settle(ledger.intend("b", {**PRICE, "model": "other"}, 5), REPLY, 5)
    ledger.intend("c", half, 7)
    first, other = ledger.spending().models
    assert first == ModelSpending("m", replies=5, stated=7, over=6 + 50 + 3, ratio=Fraction(16, 10))
    assert first.open == ledger.spending().open == 12, "7 at 1.6 times, rounded up"
    assert other == ModelSpending("other", replies=1)


def test_nothing_spent_is_nothing(money):
    assert money.spending() == Spending()
    assert money.reply("a") is None


def test_replies_come_back_as_received_and_the_first_stands(money):
    for body in (REPLY.body, {"text": "later"}):
        money.settle(money.intend("a", PRICE, 5), RawReply(body, REPLY.usage), 5)
    assert money.reply("a") == REPLY
    assert money.spending().settled == 10


def test_replies_lists_the_first_of_each_key_without_reading_any_text(store, money):
    for key in ("a", "b", "a"):
        money.settle(money.intend(key, PRICE, 5), RawReply({"text": key}, {"input_tokens": 3}), 5)
    money.intend("open", PRICE, 5)
    money.release(money.intend("released", PRICE, 5))
    replies = money.replies()
    assert replies.keys() == {"a", "b"}
    blob, usage = replies["a"]
    assert json.loads(store.blobs.read(blob)) == {"text": "a"} and usage == {"input_tokens": 3}


def test_sums_are_exact_beyond_what_a_float_holds(money):
    for cost in (9 * 10**15 + 1, 1, 1):
        money.settle(money.intend("a", PRICE, 1), REPLY, cost)
    assert money.spending().settled == 9 * 10**15 + 3


def test_all_is_there_when_the_run_is_opened_again_or_read(tmp_path):
    with Store(tmp_path) as store:
        money = CallLedger(store.ledger, store.blobs)
        money.settle(money.intend("a", PRICE, 5), REPLY, 4)
        money.intend("b", PRICE, 6)
        before = money.spending()
    reader = Reader(tmp_path)
    assert CallLedger(reader.ledger, reader.blobs).spending() == before
    assert CallLedger(reader.ledger, reader.blobs).reply("a") == REPLY
    reader.close()
    with Store(tmp_path) as store:
        assert CallLedger(store.ledger, store.blobs).spending() == before


def test_many_threads_commit_at_once(money):
    def work(number):
        for turn in range(10):
            money.settle(money.intend(f"{number} {turn}", PRICE, 3), REPLY, 2)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert money.spending() == Spending(160, 0, 80, 0, 0, (PRICE,), (ModelSpending("m", 80),))


def test_a_torn_reply_is_asked_for_again_and_stays_paid(store, money):
    money.settle(money.intend("a", PRICE, 5), REPLY, 5)
    (name,) = money.blobs()
    store.blobs.path(name).write_bytes(b"torn")
    assert money.reply("a") is None
    other = RawReply({"text": "again"}, {})
    money.settle(money.intend("a", PRICE, 5), other, 4)
    assert money.reply("a") == other
    assert money.spending().settled == 9


def test_a_reply_that_was_torn_can_be_received_again_with_the_same_bytes(store, money):
    money.settle(money.intend("a", PRICE, 5), REPLY, 5)
    (name,) = money.blobs()
    store.blobs.path(name).write_bytes(b"torn")
    assert money.reply("a") is None
    money.settle(money.intend("a", PRICE, 5), REPLY, 5)
    assert money.reply("a") == REPLY


def test_a_run_killed_in_flight_counts_the_call_as_unknown_and_goes_on(tmp_path, store):
    prices = Prices({"m": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2}})

    def send(request):
        # What a kill at this moment would leave: the files as they are on disk.
        shutil.copytree(store.folder, tmp_path / "killed", ignore=shutil.ignore_patterns(".lock"))
        return REPLY

    calls = Calls(CallLedger(store.ledger, store.blobs), budget_usd=0.02, prices=prices)
    calls.call("k", {"model": "m"}, worst_case_usd=0.01, send=send)
    with Store(tmp_path / "killed") as left:
        again = Calls(CallLedger(left.ledger, left.blobs), budget_usd=0.02, prices=prices)
        assert again.summary()["unknown_usd"] == 0.01
        assert again.call("k", {"model": "m"}, worst_case_usd=0.01, send=lambda _: REPLY) == REPLY
        assert (again.summary()["unknown_usd"], again.summary()["settled_usd"]) == (0.01, 0.000003)
        with pytest.raises(BudgetSpentError):
            again.call("other", {"model": "m"}, worst_case_usd=0.01, send=lambda _: REPLY)


def test_a_reply_that_cannot_be_written_leaves_its_intent_open(store, money):
    intent = money.intend("a", PRICE, 5)
    (store.folder / "blobs").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(RunFolderError):
        money.settle(intent, REPLY, 4)
    assert money.spending() == Spending(0, 5, 0, 1, 0, (PRICE,), (ModelSpending("m", 0, 5),))


def test_replies_survive_the_sweep_and_torn_ones_are_told(tmp_path):
    with Store(tmp_path) as store:
        money = CallLedger(store.ledger, store.blobs)
        money.settle(money.intend("a", PRICE, 5), REPLY, 4)
        sweep(store, keep_unfinished=False)
        assert money.reply("a") == REPLY
        (name,) = money.blobs()
        store.blobs.path(name).write_bytes(b"torn")
    reader = Reader(tmp_path)
    assert [line for line in problems(reader) if "paid calls" in line and name in line]
    reader.close()
