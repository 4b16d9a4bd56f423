"""Paid critics by the batch APIs: half the price, nothing sent twice, found again after a kill."""

from __future__ import annotations

import threading
import time

import pytest
from critic_cases import ANSWER, CANARY, LABELS, PROMPT, Still, case, sensible
from loopback_clients import described

from xaiaug.calls import Calls, MemoryLedger, Prices
from xaiaug.errors import BudgetSpentError, CallsPausedError, CallsRefusedError, RunStopped
from xaiaug.interfaces import Context
from xaiaug.plugins.critics.claude import ClaudeCritic
from xaiaug.plugins.critics.openai import OpenAICritic
from xaiaug.records import Critique, Failure
from xaiaug.testing import Error, Loopback, Reply

PRICE = {"input_usd_per_mtok": 3, "output_usd_per_mtok": 15}


@pytest.fixture(autouse=True, scope="module")
def _sdks():
    pytest.importorskip("anthropic")
    pytest.importorskip("openai")


@pytest.fixture(params=["messages", "responses", "chat"])
def service(request):
    return request.param


@pytest.fixture
def critic(service, monkeypatch):
    """Makes a prepared critic of each service in batch mode, on a ledger that may hold earlier work."""

    def make(server, *, ledger=None, budget_usd=1.0, **parameters):
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
            monkeypatch.setenv(name, CANARY)
        if service != "messages":
            parameters["api"] = service
        made = (ClaudeCritic if service == "messages" else OpenAICritic)("m", **{"mode": "batch", **parameters})
        calls = Calls(ledger or MemoryLedger(), budget_usd=budget_usd, prices=Prices({"m": PRICE}), jitter=Still())
        made.prepare(Context(labels=LABELS, paid=calls))
        made.calls = calls
        return made

    return make


def about(request):
    return request.pictures[0].base64[-400:]


@pytest.mark.parametrize("dialogue", ["structured", "paper"])
def test_a_batch_answers_as_live_calls_do_at_half_the_price_and_leaves_nothing_behind(critic, dialogue):
    cases = [case(i) for i in range(6)]
    with Loopback(sensible, descriptions=described()) as server:
        live = critic(server, mode="live", dialogue=dialogue)
        expected, paid = live.critique(cases), live.calls.summary()["settled_usd"]
    with Loopback(sensible, descriptions=described()) as server:
        made = critic(server, dialogue=dialogue)
        assert made.critique(cases) == expected
        summary, bill = made.calls.summary(), server.bill
    assert server.violations == [] and server.batch_files == 0
    assert summary["settled_usd"] == pytest.approx(paid / 2) == pytest.approx(float(bill.usd))
    assert summary["calls"] == len(server.requests) and summary["unknown_usd"] == summary["reserved_usd"] == 0
    assert "half in a batch" in summary["prices"][0]["source"]


def test_results_are_matched_by_name_and_bad_answers_are_mended_in_a_batch_of_their_own(critic):
    """The server answers in the opposite order; every third answer is bad at first."""

    def script(request):
        again = request.turn == 2
        bad = not again and request.number % 3 == 0
        return Reply(json={**ANSWER, "cause": about(request)[-20:], "prompt": "a dog" if bad else PROMPT})

    cases = [case(i) for i in range(9)]
    with Loopback(script) as server:
        made = critic(server).critique(cases)
    pictures = [about(request)[-20:] for request in server.requests[:9]]
    assert [one.cause for one in made] == pictures and len(server.requests) == 12


def test_what_fails_or_expires_is_sent_again_and_what_is_turned_down_is_not(critic):
    seen, lock = {}, threading.Lock()

    def script(request):
        with lock:
            times = seen[about(request)] = seen.get(about(request), 0) + 1
        if request.number == 1:
            return Error(400, "not this picture")
        first = {2: Error.expiry(), 3: Error.overloaded(), 4: Error.rate_limit()}
        return first.get(request.number, sensible(request)) if times == 1 else sensible(request)

    with Loopback(script) as server:
        made = critic(server)
        results = made.critique([case(i) for i in range(6)])
        summary = made.calls.summary()
    assert [type(one) for one in results] == [Failure] + 5 * [Critique]
    assert results[0].kind == "call failed" and "not this picture" in results[0].message
    assert sorted(seen.values()) == [1, 1, 1, 2, 2, 2]
    assert (summary["calls"], summary["unbilled"], summary["unknown_usd"]) == (5, 4, 0)
    assert summary["settled_usd"] == pytest.approx(float(server.bill.usd))


def test_what_expires_every_time_is_a_failure_and_costs_nothing(critic):
    with Loopback(Error.expiry()) as server:
        made = critic(server)
        (failure,) = made.critique([case()])
        assert failure.kind == "call failed" and len(server.requests) == 5
        assert made.calls.summary()["settled_usd"] == made.calls.summary()["unknown_usd"] == 0


def test_a_batch_takes_no_more_than_the_budget_has_room_for_and_the_rest_goes_when_it_is_settled(critic):
    with Loopback(sensible) as server:
        worst = critic(server).calls.worst_case_usd("m", {"input_tokens": 3000, "output_tokens": 2000}) / 2
        made = critic(server, budget_usd=4 * worst)
        assert {type(one) for one in made.critique([case(i) for i in range(8)])} == {Critique}
        assert made.calls.summary()["settled_usd"] < 4 * worst
        poor = critic(server, budget_usd=worst / 4)
        with pytest.raises(BudgetSpentError, match="budget"):
            poor.critique([case(20)])
    assert len(server.requests) == 8


def test_a_batch_that_was_taken_although_the_answer_was_lost_is_not_sent_again(critic):
    with Loopback(sensible, batch_cuts=1) as server:
        made = critic(server)
        assert {type(one) for one in made.critique([case(i) for i in range(4)])} == {Critique}
        assert made.calls.summary()["unknown_usd"] == 0
    assert len(server.requests) == 4


def stop_once_sent(calls, ledger):
    while not any(batch.name for batch in ledger.open_batches()):
        time.sleep(0.01)
    calls.stop(RunStopped("stopped by the test"))


def test_what_waits_is_found_again_by_the_next_session_and_not_sent_twice(critic):
    ledger = MemoryLedger()
    with Loopback(sensible, batch_polls=1) as server:
        first = critic(server, ledger=ledger)
        threading.Thread(target=stop_once_sent, args=(first.calls, ledger), daemon=True).start()
        with pytest.raises(RunStopped):
            first.critique([case(i) for i in range(4)])
        assert ledger.spending().open > 0 and ledger.spending().replies == 0
        again = critic(server, ledger=ledger)
        assert {type(one) for one in again.critique([case(i) for i in range(5)])} == {Critique}
        assert again.calls.summary()["unknown_usd"] == 0
    assert len(server.requests) == 5, "the fifth case is new"


def test_a_session_that_died_before_the_batch_was_sent_or_named_leaves_no_case_behind(critic, monkeypatch):
    """Killed between the commit and the POST, and between the POST and its answer."""
    for cuts in (0, 1):
        ledger = MemoryLedger()
        with Loopback(sensible, batch_cuts=cuts) as server:
            first = critic(server, ledger=ledger)
            batch_client = type(first._make_batch_client())

            def dies(self, tag, requests, post=batch_client.post, reached=bool(cuts)):
                if reached:
                    try:
                        post(self, tag, requests)
                    finally:
                        raise KeyboardInterrupt
                raise KeyboardInterrupt

            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr(batch_client, "post", dies)
                first.critique([case(i) for i in range(4)])
            assert ledger.spending().unanswered == 4
            again = critic(server, ledger=ledger)
            assert {type(one) for one in again.critique([case(i) for i in range(4)])} == {Critique}
            assert again.calls.summary()["unknown_usd"] == 0 and again.calls.summary()["calls"] == 4
        assert len(server.requests) == 4


def test_a_batch_that_the_service_has_lost_counts_as_paid_and_is_sent_again(critic):
    ledger = MemoryLedger()
    with Loopback(sensible, batch_polls=10**6) as server:
        first = critic(server, ledger=ledger)
        threading.Timer(0.3, first.calls.stop, [RunStopped("stopped by the test")]).start()
        with pytest.raises(RunStopped):
            first.critique([case()])
    with Loopback(sensible) as server:
        again = critic(server, ledger=ledger)
        assert isinstance(again.critique([case()])[0], Critique)
        assert again.calls.summary()["unknown_usd"] > 0


def test_a_wrong_key_and_a_server_without_batches_say_so_and_owe_nothing(critic):
    with Loopback(sensible, protocols=()) as server:
        made = critic(server)
        with pytest.raises(CallsRefusedError, match="404") as caught:
            made.critique([case()])
        assert made.calls.summary()["unknown_usd"] == 0 and CANARY not in str(caught.value)


def test_a_service_that_tells_nothing_of_a_batch_keeps_it_for_the_next_session(critic, monkeypatch):
    ledger = MemoryLedger()
    with Loopback(sensible) as server:
        made = critic(server, ledger=ledger)
        batch_client = type(made._make_batch_client())
        from xaiaug.calls import CallError

        def silent(self, name):
            raise CallError("retry", "no route", status=503)

        with monkeypatch.context() as patch, pytest.raises(CallsPausedError, match="same command"):
            patch.setattr(batch_client, "is_done", silent)
            made.critique([case()])
        assert isinstance(critic(server, ledger=ledger).critique([case()])[0], Critique)
    assert len(server.requests) == 1


def test_a_reply_of_either_mode_serves_the_other(critic):
    ledger = MemoryLedger()
    with Loopback(sensible) as server:
        critic(server, ledger=ledger).critique([case(0), case(1)])
        critic(server, ledger=ledger, mode="live").critique([case(0), case(1), case(2)])
        critic(server, ledger=ledger).critique([case(i) for i in range(4)])
    assert len(server.requests) == 4


def test_a_key_that_a_batch_sends_back_is_kept_nowhere(critic):
    with Loopback(lambda r: Error(400, f"bad {CANARY}") if r.number == 1 else Reply(f"key {CANARY}")) as server:
        made = critic(server)
        results = made.critique([case(0), case(1)])
    kept = repr([results, made.calls._ledger._replies, made.calls.summary()])
    assert "[key]" in kept and CANARY not in kept
