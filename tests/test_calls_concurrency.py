"""The limit of calls in flight: doubles, is cut by 429s, and finds a service's rate."""

import random

import pytest
from simulated import RateLimited, Simulation

from xaiaug.calls import Calls, ConcurrencyLimit, MemoryLedger, Prices
from xaiaug.errors import ConfigError

PRICES = {"m": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2}}


def answers(limit: ConcurrencyLimit, count: int, now: float = 0.0) -> None:
    for _ in range(count):
        limit.on_answer(0.5, now, crowded=True)


def simulate(rate: int | None, count: int, threads: int, latency: float = 0.5, seed: int = 0) -> tuple[float, float]:
    """Calls a second, and the share of requests that the service turned down."""
    simulation = Simulation(seed)
    service = RateLimited(simulation, rate, latency)
    calls = Calls(MemoryLedger(), budget_usd=100, prices=Prices(PRICES), clock=simulation, jitter=random.Random(seed))
    left = iter(range(count))

    def work() -> None:
        for number in left:
            calls.call(str(number), {"model": "m"}, worst_case_usd=0.01, send=service)

    tasks = simulation.run(*[work] * threads)
    assert [task.error for task in tasks] == [None] * threads
    return count / simulation.now(), service.refused / service.requests


def test_it_doubles_with_every_window_of_answers_up_to_the_most():
    limit = ConcurrencyLimit(8, 64)
    seen = [limit.allowed]
    for _ in range(5):
        answers(limit, limit.allowed)
        seen.append(limit.allowed)
    assert seen == [8, 16, 32, 64, 64, 64]


def test_it_does_not_grow_while_nobody_asks_for_more():
    limit = ConcurrencyLimit(8, 64)
    for _ in range(100):
        limit.on_answer(0.5, 0.0, crowded=False)
    assert limit.allowed == 8


def test_it_grows_while_calls_wait_as_long_as_none_fails():
    limit = ConcurrencyLimit(8, 64)
    assert not limit.on_wait(now_s=100.0)  # how long an answer takes is not known yet
    limit.on_answer(0.5, 0.0, crowded=False)
    grown = 0
    for millisecond in range(500):
        grown += limit.on_wait(millisecond / 1000)
    assert limit.allowed == 8 + grown
    assert 50 <= limit.allowed <= 64
    for stop in (limit.on_failure, lambda: limit.on_throttle(0.5, 0.5)):
        stop()
        allowed = limit.allowed
        assert not limit.on_wait(now_s=1000.0)
        assert limit.allowed == allowed


def test_a_429_cuts_a_quarter_once_for_all_calls_that_were_sent_before_it():
    limit = ConcurrencyLimit(32, 64)
    for _ in range(10):
        limit.on_throttle(sent_s=1.0, now_s=2.0)
    assert limit.allowed == 25  # 24 in flight and one that waits for its moment
    limit.on_throttle(sent_s=2.2, now_s=2.3)  # the service still counts what came before the cut
    assert limit.allowed == 25
    limit.on_throttle(sent_s=2.3, now_s=2.4)
    assert limit.allowed == 19


def test_after_a_429_it_never_doubles_again_and_goes_up_slowly():
    limit = ConcurrencyLimit(32, 64)
    limit.on_throttle(0.0, 0.0)
    cut = limit.allowed
    answers(limit, 32)
    assert cut <= limit.allowed <= cut + 1
    answers(limit, 32 * 24)
    assert limit.allowed == 64
    answers(limit, 32 * 2000)  # and stays there, however long the run
    assert limit.allowed == 64


def test_after_a_429_calls_are_spread_over_the_time_of_an_answer():
    limit = ConcurrencyLimit(8, 64)
    answers(limit, 1)
    assert limit.gap_s == 0
    limit.on_throttle(0.0, 0.0)
    assert limit.gap_s == pytest.approx(0.5 / 6)


def test_storms_never_cut_below_one():
    limit = ConcurrencyLimit(8, 64)
    for second in range(100):
        limit.on_throttle(2.0 * second, 2.0 * second)
    assert limit.allowed == 2  # one in flight, one that waits for its moment


@pytest.mark.parametrize(("start", "most"), [(0, 4), (5, 4)])
def test_an_impossible_limit_is_refused(start, most):
    with pytest.raises(ConfigError, match="1 ≤ start ≤ most"):
        ConcurrencyLimit(start, most)


def test_without_a_limit_of_the_service_all_threads_are_soon_at_work():
    rate, refused = simulate(None, 1000, threads=32)
    assert rate > 0.93 * 32 / 0.5  # the first call, which goes alone, is three per cent
    assert refused == 0


@pytest.mark.parametrize("seed", range(3))
def test_the_rate_of_a_service_is_found_with_few_wasted_calls(seed):
    rate, refused = simulate(20, 1000, threads=64, seed=seed)
    assert 0.85 * 20 < rate <= 20 * 1.02  # the first second is on the house
    assert refused < 0.03
