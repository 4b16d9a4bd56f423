"""A service that answers nothing is given up, with its words; one that is only busy is waited for."""

from __future__ import annotations

import random

import pytest
from simulated import Simulation

from xaiaug.calls import CallError, Calls, MemoryLedger, Prices
from xaiaug.errors import CallsFailingError, CallsRefusedError
from xaiaug.records import RawReply

PRICES = {"m": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 10}, "here": {"local": True}}
REPLY = RawReply({"text": "yes"}, {"input_tokens": 1000, "output_tokens": 100})


def ask_all(answer, *, count=12, threads=12, model="m", budget_usd=100.0):
    """Asks about that many items in that many threads; returns the calls, what was sent when, and the errors."""
    simulation, sent = Simulation(3), []
    paid = Calls(
        MemoryLedger(), budget_usd=budget_usd, prices=Prices(PRICES), clock=simulation, jitter=random.Random(0)
    )
    left = iter(range(count))

    def send(request):
        sent.append(simulation.now())
        return answer(simulation, len(sent))

    def work():
        for number in left:
            paid.call(str(number), {"model": model}, worst_case_usd=0.01 * (model == "m"), send=send)

    tasks = simulation.run(*[work] * threads)
    return paid, sent, [task.error for task in tasks if task.error is not None], simulation


def failing(status, message="boom", **more):
    def answer(simulation, number):
        raise CallError("retry", message, status=status, **more)

    return answer


@pytest.mark.parametrize("model", ["m", "here"])
def test_a_server_that_fails_every_call_is_given_up_with_its_words(model):
    _, sent, errors, simulation = ask_all(failing(500, "no projector"), model=model)
    assert errors and {type(error) for error in errors} == {CallsFailingError}
    assert "none of the last 24 attempts, the last with: no projector" in str(errors[0])
    assert len(sent) == 24 and simulation.now() < 60


def test_a_busy_service_is_waited_for_a_while_and_longer_once_it_has_answered():
    _, _, errors, simulation = ask_all(failing(503))
    assert {type(error) for error in errors} == {CallsFailingError} and 30 <= simulation.now() < 120

    def busy_for_50_s(simulation, number):
        if 5 < simulation.now() < 55:
            raise CallError("retry", "overloaded", status=529)
        simulation.sleep(1)
        return REPLY

    paid, _, errors, _ = ask_all(busy_for_50_s, count=100)
    assert errors == [] and paid.summary()["calls"] == 100


def test_a_server_that_is_slow_is_told_after_three_tries_and_not_asked_for_ever():
    def slow(simulation, number):
        simulation.sleep(120)
        raise CallError("retry", "no complete answer within 120 seconds; raise timeout_s", timed_out=True)

    paid, sent, errors, _ = ask_all(slow)
    assert len(sent) == 3 and "raise timeout_s" in str(errors[0])
    assert paid.summary()["unknown_usd"] == pytest.approx(0.03), "the work may have been done, and billed"


def test_what_may_be_billed_is_tried_four_times_at_most():
    _, sent, errors, _ = ask_all(failing(502), count=1, threads=1)
    assert len(sent) == 4 and isinstance(errors[0], CallError)


def test_a_limit_with_a_stated_wait_passes_and_an_account_that_stays_empty_is_told_as_one():
    def limited(simulation, number):
        if number < 9:
            raise CallError("retry", "You exceeded your current quota", status=429, retry_after_s=1)
        return REPLY

    paid, _, errors, _ = ask_all(limited)
    assert errors == [] and paid.summary()["calls"] == 12
    _, _, errors, _ = ask_all(failing(429, "You exceeded your current quota", retry_after_s=1), count=3, threads=3)
    assert isinstance(errors[0], CallsRefusedError) and "top it up" in str(errors[0])


def test_when_all_of_the_first_ten_items_fail_no_more_are_tried():
    def no(simulation, number):
        raise CallError("item", "not this picture", status=400)

    simulation, sent = Simulation(), []
    paid = Calls(MemoryLedger(), budget_usd=1, prices=Prices(PRICES), clock=simulation)

    def work():
        for number in range(40):
            try:
                paid.call(str(number), {"model": "m"}, worst_case_usd=0.01, send=lambda _: sent.append(1) or no(0, 0))
            except CallError:
                continue

    (task,) = simulation.run(work)
    assert "all of the first 10 items failed, the last with: not this picture" in str(task.error)
    assert len(sent) == 10


def test_a_filter_s_no_is_no_failing_item():
    def flagged(simulation, number):
        raise CallError("refusal", "flagged", status=403)

    simulation = Simulation()
    paid = Calls(MemoryLedger(), budget_usd=1, prices=Prices(PRICES), clock=simulation)
    refused = []

    def work():
        for number in range(60):
            try:
                paid.call(str(number), {"model": "m"}, worst_case_usd=0.01, send=lambda _: flagged(0, 0))
            except CallError as error:
                refused.append(error.kind)

    (task,) = simulation.run(work)
    assert task.error is None and refused == ["refusal"] * 60 and paid.summary()["unknown_usd"] == 0
