"""A paid call is committed before it is sent, recorded before it is read, and stopped only with a reason."""

from __future__ import annotations

import json
import random
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import pytest
from simulated import RateLimited, Simulation

from xaiaug.calls import CallError, Calls, ConcurrencyLimit, MemoryLedger, Prices
from xaiaug.errors import (
    BudgetSpentError,
    CallsFailingError,
    CallsPausedError,
    CallsRefusedError,
    CallsStoppedError,
    ConfigError,
    RunFolderError,
    RunStopped,
    UnknownPriceError,
)
from xaiaug.interfaces import PaidCalls
from xaiaug.records import RawReply
from xaiaug.store import CallLedger, Store

PRICES = {"m": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 10}, "here": {"local": True}}
REPLY = RawReply({"text": "yes"}, {"input_tokens": 1000, "output_tokens": 100})  # $0.002


def calls(ledger: Any = None, budget_usd: float | None = 1.0, **more: Any) -> Calls:
    made = Calls(ledger or MemoryLedger(), budget_usd=budget_usd, prices=Prices(PRICES), **more)
    typed: PaidCalls = made
    assert typed is made
    return made


def always(outcome: RawReply | BaseException, sent: list[Any] | None = None) -> Callable[[Mapping[str, Any]], RawReply]:
    def send(request: Mapping[str, Any]) -> RawReply:
        if sent is not None:
            sent.append(request)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return send


def in_turn(outcomes: Iterator[RawReply | BaseException]) -> Callable[[Mapping[str, Any]], RawReply]:
    def send(request: Mapping[str, Any]) -> RawReply:
        return always(next(outcomes))(request)

    return send


def ask(paid: Calls, key: str, send: Any, model: str = "m", worst: float = 0.01) -> RawReply:
    return paid.call(key, {"model": model}, worst_case_usd=worst, send=send)


def in_simulation(work: Callable[[], Any], simulation: Simulation, threads: int = 1) -> list[Any]:
    return simulation.run(*[work] * threads)


def test_the_intent_is_committed_before_the_call_and_the_reply_before_it_is_returned():
    ledger = MemoryLedger()
    seen = []

    def send(request: Mapping[str, Any]) -> RawReply:
        seen.append(ledger.spending())
        return REPLY

    reply = ask(calls(ledger), "k", send)
    assert (seen[0].unanswered, seen[0].open, seen[0].replies) == (1, 10**10, 0)
    assert ledger.reply("k") == reply == REPLY


def test_a_recorded_reply_is_returned_without_sending_and_costs_nothing():
    ledger, sent = MemoryLedger(), []
    ask(calls(ledger), "k", always(REPLY, sent))
    paid = calls(ledger, budget_usd=0.002)  # nothing is left
    assert ask(paid, "k", always(REPLY, sent)) == REPLY
    assert len(sent) == 1
    assert paid.summary()["settled_usd"] == 0.002


def test_two_threads_with_one_key_send_once():
    paid, sent = calls(), []
    inside, go = threading.Event(), threading.Event()

    def send(request: Mapping[str, Any]) -> RawReply:
        sent.append(request)
        inside.set()
        assert go.wait(10)
        return REPLY

    threads = [threading.Thread(target=ask, args=(paid, "k", send)) for _ in range(2)]
    threads[0].start()
    assert inside.wait(10)
    threads[1].start()
    go.set()
    for thread in threads:
        thread.join(10)
    assert len(sent) == 1
    assert paid.summary()["calls"] == 1


def test_the_summary_is_json_plain_and_says_it_all():
    paid = calls()
    ask(paid, "k", always(REPLY))
    with pytest.raises(ZeroDivisionError):
        ask(paid, "broken", always(ZeroDivisionError()))
    told = json.loads(json.dumps(paid.summary()))
    prices = told.pop("prices")
    assert told == {
        "budget_usd": 1.0,
        "settled_usd": 0.002,
        "reserved_usd": 0.0,
        "unknown_usd": 0.01,
        "calls": 1,
        "unreported": 0,
        "unanswered": 1,
        "unbilled": 0,
        "over_budget_usd": 0.0,
        "overruns": [],
    }
    assert [(price["model"], price["source"], price["usd_per_mtok"]["input"]) for price in prices] == [
        ("m", "user", ["1"])
    ]


def test_what_is_in_flight_is_reserved_and_not_unknown():
    paid = calls()
    seen: list[Any] = []

    def send(request: Mapping[str, Any]) -> RawReply:
        seen.append(paid.summary())
        return REPLY

    ask(paid, "k", send)
    assert (seen[0]["reserved_usd"], seen[0]["unknown_usd"]) == (0.01, 0.0)


def test_killed_between_intent_and_reply_it_counts_as_unknown_and_the_same_command_goes_on():
    ledger = MemoryLedger()
    with pytest.raises(KeyboardInterrupt):  # nothing is written after it, as when the process is killed
        ask(calls(ledger, budget_usd=0.025), "k", always(KeyboardInterrupt()))
    paid = calls(ledger, budget_usd=0.025)
    assert paid.summary()["unknown_usd"] == 0.01
    assert ask(paid, "k", always(REPLY)) == REPLY
    assert paid.summary()["settled_usd"] == 0.002
    assert paid.summary()["unknown_usd"] == 0.01
    ask(paid, "other", always(REPLY))
    with pytest.raises(BudgetSpentError, match=r"\$0\.0040? is paid and \$0\.010? may be due.*raise budget_usd"):
        ask(paid, "another", always(REPLY), worst=0.012)


def test_a_call_that_might_break_the_budget_is_not_sent():
    sent: list[Any] = []
    with pytest.raises(BudgetSpentError):
        ask(calls(budget_usd=0.0099), "k", always(REPLY, sent))
    assert sent == []
    assert ask(calls(budget_usd=0.01), "k", always(REPLY, sent)) == REPLY


def test_a_worst_case_that_was_too_low_makes_the_next_ones_higher():
    paid = calls(budget_usd=0.005)
    ask(paid, "a", always(REPLY), worst=0.001)  # costs twice that
    ask(paid, "b", always(REPLY), worst=0.0015)
    with pytest.raises(BudgetSpentError):
        ask(paid, "c", always(REPLY), worst=0.0006)


def test_what_has_no_rate_is_paid_at_the_worst_case():
    paid = calls()
    ask(paid, "k", always(RawReply({}, {"input_tokens": 1, "searches": 3})))
    assert paid.summary()["unknown_usd"] == 0.01


def test_a_local_model_is_free_and_never_blocked():
    for budget in (None, 0.0):
        paid = calls(budget_usd=budget)
        assert ask(paid, "k", always(REPLY), model="here", worst=0) == REPLY
        assert paid.summary()["settled_usd"] == 0
    ledger = MemoryLedger()
    ask(calls(ledger), "spends", always(REPLY))
    assert ask(calls(ledger, budget_usd=0.0), "k", always(REPLY), model="here", worst=0) == REPLY


@pytest.mark.parametrize("worst", [0.0, -1.0, float("nan"), float("inf")])
def test_a_worst_case_that_is_no_amount_is_refused(worst):
    with pytest.raises(ConfigError):
        ask(calls(), "k", always(REPLY), worst=worst)


def test_without_a_budget_or_a_price_nothing_is_sent():
    sent: list[Any] = []
    with pytest.raises(ConfigError, match="set budget_usd"):
        ask(calls(budget_usd=None), "k", always(REPLY, sent))
    with pytest.raises(UnknownPriceError, match="no-such-model"):
        ask(calls(), "k", always(REPLY, sent), model="no-such-model")
    with pytest.raises(UnknownPriceError, match="must name its model"):
        calls().call("k", {}, worst_case_usd=1, send=always(REPLY, sent))
    assert sent == []


def test_what_passes_is_tried_again_with_growing_waits_under_the_cap():
    simulation = Simulation()
    moments: list[float] = []

    def send(request: Mapping[str, Any]) -> RawReply:
        moments.append(simulation.now())
        raise CallError("retry", "overloaded", status=529)

    paid = calls(clock=simulation, jitter=_Longest())
    (task,) = in_simulation(lambda: ask(paid, "k", send), simulation)
    assert isinstance(task.error, CallError)
    assert task.error.kind == "retry"
    waits = [after - before for before, after in pairwise(moments)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert paid.summary()["unbilled"] == 10


def test_waits_are_drawn_from_all_of_their_span():
    simulation = Simulation()
    drawn: list[tuple[float, float]] = []

    class Noting(random.Random):
        def uniform(self, least: float, most: float) -> float:
            drawn.append((least, most))
            return 0.0

    paid = calls(clock=simulation, jitter=Noting())
    in_simulation(lambda: ask(paid, "k", always(CallError("retry", "busy", status=503))), simulation)
    assert drawn[:3] == [(0, 1), (0, 2), (0, 4)]


def test_retry_after_is_honoured_up_to_ten_minutes():
    simulation = Simulation()
    outcomes = iter([CallError("retry", "busy", status=429, retry_after_s=600), REPLY])
    paid = calls(clock=simulation)
    (task,) = in_simulation(lambda: ask(paid, "k", in_turn(outcomes)), simulation)
    assert task.result == REPLY
    assert 600 <= simulation.now() <= 601


def test_a_longer_retry_after_pauses_all_calls_and_the_same_command_goes_on():
    ledger, simulation = MemoryLedger(), Simulation()
    paid = calls(ledger, clock=simulation)
    waiting = CallError("retry", "busy", status=529, retry_after_s=500)
    outcomes = {"a": waiting, "b": CallError("retry", "busy", status=429, retry_after_s=2820)}
    keys = iter(outcomes)

    def work() -> None:
        key = next(keys)
        simulation.sleep(0 if key == "a" else 1)
        ask(paid, key, always(outcomes[key]))

    tasks = in_simulation(work, simulation, threads=2)
    assert all(isinstance(task.error, CallsPausedError) for task in tasks)
    assert "47 minutes" in str(tasks[0].error)
    assert simulation.now() == 1  # the one that waited for 500 seconds was told at once
    assert ask(calls(ledger), "b", always(REPLY)) == REPLY


def test_a_fatal_failure_stops_every_thread_at_once_with_what_to_do():
    simulation, sent = Simulation(1), []
    paid = calls(clock=simulation, limit=ConcurrencyLimit(2, 4))
    keys = iter(range(100))

    def send(request: Mapping[str, Any]) -> RawReply:
        sent.append(request)
        simulation.sleep(1)
        raise CallError("fatal", "invalid x-api-key", status=401)

    tasks = in_simulation(lambda: ask(paid, str(next(keys)), send), simulation, threads=20)
    assert len(sent) == 1  # the first call goes alone
    assert all(isinstance(task.error, CallsRefusedError) for task in tasks)
    assert {str(task.error) for task in tasks} == {
        "the service refuses every call (401: invalid x-api-key); check the API key, then rerun the same command"
    }
    assert paid.summary()["unknown_usd"] == 0


def test_after_a_stop_recorded_replies_still_come():
    ledger = MemoryLedger()
    ask(calls(ledger), "k", always(REPLY))
    paid = calls(ledger)
    paid.stop(RunStopped("asked to stop"))
    assert ask(paid, "k", always(REPLY)) == REPLY
    with pytest.raises(RunStopped, match="asked to stop"):
        ask(paid, "new", always(REPLY))


def test_an_item_failure_concerns_that_item_alone():
    paid, sent = calls(), []
    with pytest.raises(CallError, match="too large") as caught:
        ask(paid, "k", always(CallError("item", "image too large", status=413), sent))
    assert caught.value.kind == "item"
    assert len(sent) == 1
    assert ask(paid, "other", always(REPLY)) == REPLY
    assert paid.summary()["unbilled"] == 1


def test_a_cut_connection_is_tried_again_and_what_was_cut_is_unknown():
    outcomes = iter([ConnectionResetError("by peer"), TimeoutError("read"), ConnectionRefusedError("port"), REPLY])
    simulation = Simulation()
    paid = calls(clock=simulation)
    (task,) = in_simulation(lambda: ask(paid, "k", in_turn(outcomes)), simulation)
    assert task.result == REPLY
    told = paid.summary()
    assert (told["unknown_usd"], told["unanswered"], told["unbilled"]) == (0.02, 2, 1)


def test_too_many_failing_items_stop_the_run():
    paid = calls()
    failed = always(CallError("item", "bad image", status=400))
    for number in range(60):
        ask(paid, f"good {number}", always(REPLY))
    for number in range(10):
        with pytest.raises(CallError):
            ask(paid, f"bad {number}", failed)
    with pytest.raises(CallsFailingError, match="11 of the last 50 items failed, the last with: bad image"):
        ask(paid, "bad 10", failed)
    with pytest.raises(CallsStoppedError):
        ask(paid, "new", always(REPLY))


def test_replies_of_no_use_count_as_failing_items_once_each():
    paid = calls()
    ask(paid, "good", always(REPLY))
    for number in range(10):
        ask(paid, str(number), always(REPLY))
        paid.reject(str(number), "refusal")
        paid.reject(str(number), "refusal")
    ask(paid, "10", always(REPLY))
    with pytest.raises(CallsFailingError, match="the last with: refusal"):
        paid.reject("10", "refusal")


def test_a_storm_of_429s_is_ridden_out_with_every_item_answered():
    simulation = Simulation(5)
    service = RateLimited(simulation, rate=None)
    paid = calls(clock=simulation, jitter=random.Random(0), budget_usd=100)
    left = iter(range(300))

    def send(request: Mapping[str, Any]) -> RawReply:
        if 3 < simulation.now() < 60:
            service.refused += 1
            raise CallError("retry", "too fast", status=429, retry_after_s=10)
        return service(request)

    def work() -> None:
        for number in left:
            ask(paid, str(number), send)

    tasks = in_simulation(work, simulation, threads=64)
    assert [task.error for task in tasks] == [None] * 64
    assert paid.summary()["calls"] == 300
    assert service.refused < 7 * 64  # who was told to wait keeps its place, so that no other asks instead
    assert simulation.now() < 150


def test_a_ledger_that_cannot_be_written_stops_before_the_call_and_frees_what_was_reserved():
    class Full(MemoryLedger):
        def intend(self, *_: Any) -> int:
            raise RunFolderError("disk full")

    paid, sent = calls(Full()), []
    with pytest.raises(RunFolderError):
        ask(paid, "k", always(REPLY, sent))
    assert sent == []
    assert paid.summary()["reserved_usd"] == 0


@pytest.mark.parametrize("broken", ["settle", "release"])
def test_what_became_of_a_call_and_could_not_be_written_stays_spoken_for(broken):
    class Full(MemoryLedger):
        pass

    def fail(*_: Any) -> None:
        raise RunFolderError("disk full")

    setattr(Full, broken, fail)
    paid = calls(Full(), budget_usd=0.015)
    outcome = REPLY if broken == "settle" else CallError("item", "no", status=400)
    with pytest.raises(RunFolderError):
        ask(paid, "k", always(outcome))
    assert paid.summary()["unknown_usd"] == 0.01
    with pytest.raises(BudgetSpentError):
        ask(paid, "other", always(REPLY))


class _Longest(random.Random):
    def uniform(self, least: float, most: float) -> float:
        return most


ABSURD = [
    {"input_tokens": 10**12, "output_tokens": 1},
    {"input_tokens": 10**30, "output_tokens": 10**30},
    {"input_tokens": -5, "output_tokens": 1},
    {"input_tokens": "12", "output_tokens": 1},
    {"input_tokens": 1.5, "output_tokens": 1},
    {"input_tokens": True, "output_tokens": 1},
    {"input_tokens": float("nan"), "output_tokens": 1},
    {"input_tokens": None, "output_tokens": None},
    {"input_tokens": 0, "output_tokens": 0},
    {},
]


@pytest.mark.parametrize("usage", ABSURD, ids=str)
def test_a_usage_that_cannot_be_costs_the_worst_case_and_harms_no_later_session(tmp_path, usage):
    for _ in range(2):
        with Store(tmp_path) as store:
            paid = calls(CallLedger(store.ledger, store.blobs))
            reply = ask(paid, "k", always(RawReply({"text": "yes"}, usage)))
            assert reply.body == {"text": "yes"}
            assert paid.summary()["unknown_usd"] == 0.01 and paid.summary()["overruns"] == []
    with Store(tmp_path) as store:
        paid = calls(CallLedger(store.ledger, store.blobs))
        ask(paid, "another", always(REPLY))
        assert paid.summary()["calls"] == 2


def test_a_price_that_makes_a_call_absurdly_dear_is_bounded_too(tmp_path):
    dear = Prices({"m": {"input_usd_per_mtok": 1e30, "output_usd_per_mtok": 1e30}})
    with Store(tmp_path) as store:
        paid = Calls(CallLedger(store.ledger, store.blobs), budget_usd=1, prices=dear)
        ask(paid, "k", always(REPLY))
        assert paid.summary()["unknown_usd"] == 0.01
    for most in ({"budget_usd": 1e9}, {"budget_usd": float("inf")}):
        with pytest.raises(ConfigError, match="an amount of money"):
            Calls(MemoryLedger(), **most)
    with pytest.raises(ConfigError, match="an amount of money"):
        ask(calls(), "k", always(REPLY), worst=1e9)


class LocalProtocolError(Exception):
    """As httpx names it: its text quotes the header."""


@pytest.mark.parametrize("error", [LocalProtocolError("Illegal header value b'sk-secret'"), None], ids=str)
def test_a_request_that_cannot_be_written_is_unsent_and_costs_nothing(error):
    def send(request: Mapping[str, Any]) -> RawReply:
        raise error or UnicodeEncodeError("utf-8", "\ud800 sk-secret", 0, 1, "surrogates not allowed")

    paid = calls()
    with pytest.raises(CallError, match="the request cannot be sent") as caught:
        ask(paid, "k", send)
    told = "".join(traceback.format_exception(caught.value))
    assert "sk-secret" not in told and caught.value.kind == "item"
    assert (paid.summary()["unknown_usd"], paid.summary()["unbilled"]) == (0, 1)
