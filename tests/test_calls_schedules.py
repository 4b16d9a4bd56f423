"""Whatever the schedule, the failures and the prices: spend ≤ budget, and the ledger says what the service bills."""

from __future__ import annotations

import random
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import Killed, Simulation

from xaiaug.calls import CallError, Calls, ConcurrencyLimit, MemoryLedger, Prices
from xaiaug.errors import BudgetSpentError, CallsStoppedError
from xaiaug.records import PICO, RawReply
from xaiaug.store import CallLedger, Store

MODELS = ("cheap", "dear")


class Service:
    """Bills what it does, in its own arithmetic, and fails at random in every way a service can."""

    def __init__(self, simulation: Simulation, chance: random.Random, rates: Mapping[str, tuple[Decimal, Decimal]]):
        self.simulation, self.chance, self.rates = simulation, chance, rates
        self.told = Decimal(0)  # billed, and the caller got a reply
        self.untold = Decimal(0)  # billed, and the reply was lost on the way
        self.served: list[str] = []
        self.trouble = chance.choice((0.0, 0.2, 0.6))
        self.fatal = chance.choice((0.0, 0.0, 0.03))

    def __call__(self, request: Mapping[str, Any]) -> RawReply:
        self.simulation.sleep(self.chance.choice((0.0, 0.1, 2.0)))
        if self.chance.random() < self.trouble:
            self._fail(request)
        reply = self._serve(request)
        self.untold += self._bill(request["model"], reply)  # until it has reached the caller
        self.simulation.sleep(self.chance.choice((0.0, 0.5)))
        self.untold -= self._bill(request["model"], reply)
        self.told += self._bill(request["model"], reply)
        return reply

    def _fail(self, request: Mapping[str, Any]) -> None:
        kind = self.chance.choice(("rate", "later", "overloaded", "cut", "unreached", "item", "reset"))
        if self.chance.random() < self.fatal:
            raise CallError("fatal", "no such key", status=401)
        if kind in ("cut", "reset"):
            self.untold += self._bill(request["model"], self._serve(request))
        if kind == "reset":
            raise ConnectionResetError("by peer")
        raise {
            "rate": CallError("retry", "too fast", status=429),
            "later": CallError("retry", "too fast", status=429, retry_after_s=self.chance.choice((1, 30, 700))),
            "overloaded": CallError("retry", "overloaded", status=529),
            "cut": CallError("retry", "connection cut"),
            "unreached": CallError("retry", "no route", reached=False),
            "item": CallError("item", "too large", status=413),
        }[kind]

    def _serve(self, request: Mapping[str, Any]) -> RawReply:
        self.served.append(request["key"])
        tokens = {name: self.chance.randint(0, most) for name, most in request["most"].items()}
        return RawReply({"echo": request["key"]}, tokens)

    def _bill(self, model: str, reply: RawReply) -> Decimal:
        rates = self.rates[model]
        tokens = (reply.usage["input_tokens"], reply.usage["output_tokens"])
        return sum((count * rate for count, rate in zip(tokens, rates, strict=True)), Decimal(0)) / 10**6


class Stepping:
    """Gives way to other threads before and after each commit, where a real one may be interrupted."""

    def __init__(self, ledger: Any, simulation: Simulation) -> None:
        self._ledger, self._simulation = ledger, simulation

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._ledger, name)
        if name == "spending":
            return method

        def stepping(*arguments: Any) -> Any:
            self._simulation.step()
            found = method(*arguments)
            self._simulation.step()
            return found

        return stepping


class World:
    """One run of random calls, in sessions that may be killed, on one ledger and one bill."""

    def __init__(self, seed: int, ledger: Any) -> None:
        self.chance, self.seed, self.ledger = random.Random(seed), seed, ledger
        self.rates = {
            model: (Decimal(self.chance.randint(1, 10**7)) / 10**6, Decimal(self.chance.randint(1, 10**7)) / 10**5)
            for model in MODELS
        }
        given = {
            model: {"input_usd_per_mtok": str(paid), "output_usd_per_mtok": str(made)}
            for model, (paid, made) in self.rates.items()
        }
        self.prices = Prices(given)
        self.budget = round(self.chance.choice((0.0, 0.05, 0.2, 10.0)) * self.chance.random(), 6)
        self.wishes = [self._wish(number) for number in range(self.chance.randint(1, 8))]
        self.service: Service | None = None

    def session(self, dies_at: int | None) -> list[Any]:
        """Lets threads work through all wishes; returns what became of each thread."""
        simulation = Simulation(self.chance.getrandbits(32), dies_at)
        service = Service(simulation, self.chance, self.rates)
        if self.service is not None:
            service.told, service.untold = self.service.told, self.service.untold
        self.service = service
        start = self.chance.randint(1, 4)
        calls = Calls(
            Stepping(self.ledger, simulation),
            budget_usd=self.budget,
            prices=self.prices,
            limit=ConcurrencyLimit(start, start + self.chance.randint(0, 4)),
            clock=simulation,
            jitter=self.chance,
        )
        left = iter(self.wishes)

        def work() -> None:
            for request in left:
                worst = calls.worst_case_usd(request["model"], request["most"])
                try:
                    reply = calls.call(request["key"], request, worst_case_usd=worst or 1e-12, send=service)
                    assert reply.body == {"echo": request["key"]}
                except CallError:
                    continue
                finally:
                    self.check()

        tasks = simulation.run(*[work] * self.chance.randint(1, 4))
        self.calls = calls
        return [task.error for task in tasks]

    def check(self) -> None:
        """The laws that hold at every moment."""
        assert (self.service.told + self.service.untold) <= Decimal(str(self.budget))
        spent = self.ledger.spending()
        assert spent.settled + spent.open <= Decimal(str(self.budget)) * PICO
        assert spent.settled <= (self.service.told + self.service.untold) * PICO

    def check_end(self) -> None:
        """The laws that hold when nothing is in flight."""
        spent = self.ledger.spending()
        bill = (self.service.told + self.service.untold) * PICO
        assert spent.settled <= bill <= spent.settled + spent.open
        if not spent.unanswered:
            assert spent.settled == bill

    def _wish(self, number: int) -> dict[str, Any]:
        most = {"input_tokens": self.chance.randint(0, 2000), "output_tokens": self.chance.randint(0, 500)}
        return {"key": str(self.chance.randint(0, number)), "model": self.chance.choice(MODELS), "most": most}


def live(seed: int, ledger: Any) -> World:
    world = World(seed, ledger)
    kills = world.chance.choice((0, 0, 1, 2))
    for _ in range(kills):
        errors = world.session(dies_at=world.chance.randint(1, 40))
        assert all(isinstance(error, (CallsStoppedError, Killed, type(None))) for error in errors), errors
        world.check()
    errors = world.session(dies_at=None)
    assert all(isinstance(error, (CallsStoppedError, type(None))) for error in errors), errors
    world.check()
    world.check_end()
    if not kills:
        # Nobody else is in flight at the end, and the service's told replies are just those that were recorded.
        assert world.ledger.spending().settled == world.service.told * PICO
        assert world.calls.summary()["reserved_usd"] == 0
    return world


# Each block is 250 worlds, and reaches what the schedules are there for: two show it, more are slow.
@pytest.mark.parametrize("block", [0, 1, *(pytest.param(block, marks=pytest.mark.slow) for block in range(2, 8))])
def test_spend_stays_within_the_budget_and_the_ledger_is_the_bill(block):
    worlds = [live(seed, MemoryLedger()) for seed in range(250 * block, 250 * (block + 1))]
    spent = [world.ledger.spending() for world in worlds]
    # The schedules reach what they are there for.
    assert sum(one.replies for one in spent) > 200
    assert any(one.unanswered for one in spent)
    assert any(one.unbilled for one in spent)
    assert any(one.settled + one.open > 0.7 * world.budget * PICO > 0 for one, world in zip(spent, worlds, strict=True))


@pytest.mark.parametrize("seed", range(10_000, 10_020))
def test_the_same_holds_for_the_ledger_of_a_run(tmp_path, seed):
    with Store(tmp_path) as store:
        live(seed, CallLedger(store.ledger, store.blobs))


def test_a_budget_is_used_up_although_worst_cases_are_far_from_what_calls_cost():
    simulation = Simulation(3)

    def send(request: Mapping[str, Any]) -> RawReply:
        simulation.sleep(1)
        return RawReply({}, {"input_tokens": 1, "output_tokens": 1})  # 2 of at most 100 micro-dollars

    calls = Calls(
        MemoryLedger(),
        budget_usd=0.001,
        prices=Prices({"m": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1}}),
        clock=simulation,
    )
    left = iter(range(1000))

    def work() -> None:
        for number in left:
            calls.call(str(number), {"model": "m"}, worst_case_usd=0.0001, send=send)

    tasks = simulation.run(*[work] * 32)
    assert all(isinstance(task.error, BudgetSpentError) for task in tasks)
    assert calls.summary()["settled_usd"] >= 0.0009


class OverbillingService:
    """Bills each call of $0.01 at most by a factor of its own, and counts how many are in flight at once."""

    def __init__(self, simulation: Simulation, factors: Any) -> None:
        self.simulation, self.factors, self.billed = simulation, factors, Fraction(0)
        self.in_flight = self.most = self.answers = 0
        self.most_before_an_answer = 0

    def __call__(self, request: Mapping[str, Any]) -> RawReply:
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        if not self.answers:
            self.most_before_an_answer = max(self.most_before_an_answer, self.in_flight)
        self.simulation.sleep(self.simulation.random.uniform(0.5, 2))
        tokens = int(10_000 * next(self.factors))  # at a micro-dollar each
        self.billed += Fraction(tokens, 10**6)
        self.in_flight -= 1
        self.answers += 1
        return RawReply({}, {"input_tokens": tokens, "output_tokens": 0})


def spend(service: OverbillingService, ledger: Any, budget: float, count: int, threads: int = 64) -> tuple[Any, Any]:
    """Sends up to that many calls that may cost $0.01 each; returns the calls and the errors of the threads."""
    calls = Calls(
        ledger,
        budget_usd=budget,
        prices=Prices({"m": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1}}),
        limit=ConcurrencyLimit(threads, threads),
        clock=service.simulation,
    )
    left = iter(range(count))

    def work() -> None:
        for number in left:
            calls.call(f"{budget} {number}", {"model": "m"}, worst_case_usd=0.01, send=service)

    return calls, [task.error for task in service.simulation.run(*[work] * threads)]


def repeat(factor: float) -> Any:
    while True:
        yield factor


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.floats(1, 20), st.floats(1, 5))
def test_a_service_that_bills_all_calls_above_their_worst_case_never_passes_the_cap(seed, factor, budget):
    service = OverbillingService(Simulation(seed), repeat(factor))
    calls, errors = spend(service, MemoryLedger(), round(budget, 2), 150, threads=32)
    cap, dearest = Fraction(str(round(budget, 2))), Fraction(str(factor)) / 100
    assert service.billed <= cap
    if service.answers < 150:  # the budget is used up, as far as it goes in calls of that price
        assert {type(error) for error in errors} <= {BudgetSpentError, type(None)}
        assert service.billed > cap - 2 * dearest - Fraction(1, 1000)
    assert calls.summary()["over_budget_usd"] == 0
    assert service.most_before_an_answer == 1 and service.most > 1


def test_64_calls_in_flight_at_16_times_their_worst_case_spend_the_whole_budget():
    service = OverbillingService(Simulation(1), repeat(1.6))
    calls, errors = spend(service, MemoryLedger(), 4, 2000)
    assert service.billed == 4 and service.most == 64
    assert "'m' were billed up to 1.60 times their worst case, $1.50 above it in total" in str(errors[0])
    assert calls.summary()["overruns"] == [{"model": "m", "over_usd": 1.5, "ratio": 1.6}]


def test_the_ratio_outlives_a_session(tmp_path):
    with Store(tmp_path) as store:
        spend(OverbillingService(Simulation(1), repeat(1.6)), CallLedger(store.ledger, store.blobs), 20, 3)
    with Store(tmp_path) as store:
        ledger = CallLedger(store.ledger, store.blobs)
        service = OverbillingService(Simulation(2), repeat(1.6))
        spend(service, ledger, 0.3, 100)
        assert service.most_before_an_answer == 1 and service.most > 1, "the first call of a session goes alone"
        assert 0.28 < ledger.spending().settled / PICO <= 0.3
        open_intent = ledger.intend("killed in flight", {"model": "m", "usd_per_mtok": {}}, PICO // 100)
        assert ledger.spending().open == 0.016 * PICO
        ledger.release(open_intent)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 64), st.sampled_from([0.1, 0.3, 1.0]))
def test_a_cap_that_is_passed_is_told_in_numbers_at_once(seed, threads, budget):
    """Bills that differ from call to call cannot be foreseen: what is in flight may pass the cap."""
    simulation = Simulation(seed)
    chance = random.Random(seed)
    service = OverbillingService(simulation, iter(lambda: chance.choice([0.2, 1, 1, 5]), None))
    calls, errors = spend(service, MemoryLedger(), budget, 100, threads)
    over = service.billed - Fraction(str(budget))
    assert calls.summary()["over_budget_usd"] == pytest.approx(max(0, float(over)), abs=1e-12)
    told = [str(error) for error in errors if "is exceeded by" in str(error)]
    assert bool(told) == (over > 0)
    assert over <= threads * Fraction(5, 100)
    for message in told:
        assert "'m' were billed up to 5.00 times" in message and "above it in total" in message


def test_the_last_call_of_a_run_is_told_too_and_its_reply_is_kept():
    service, ledger = OverbillingService(Simulation(0), repeat(5)), MemoryLedger()
    _, (error,) = spend(service, ledger, 0.03, 1, threads=1)
    assert "the budget of $0.03 is exceeded by $0.02: $0.05 is billed" in str(error)
    calls, (error,) = spend(service, ledger, 0.03, 1, threads=1)
    assert error is None and service.answers == 1
    assert calls.summary()["over_budget_usd"] == 0.02


def test_a_first_call_that_fails_lets_the_next_try_and_models_do_not_wait_for_each_other():
    simulation = Simulation(4)
    in_flight: dict[str, int] = dict.fromkeys(MODELS, 0)
    most: dict[str, int] = dict.fromkeys(MODELS, 0)
    both, answered = [], []

    def send(request: Mapping[str, Any]) -> RawReply:
        model = request["model"]
        in_flight[model] += 1
        if model not in answered:
            most[model] = max(most[model], in_flight[model])
        both.append(all(in_flight.values()))
        simulation.sleep(1)
        in_flight[model] -= 1
        if simulation.random.random() < 0.5 and model not in answered:
            raise CallError("item", "no", status=400)
        answered.append(model)
        return RawReply({}, {"input_tokens": 1, "output_tokens": 1})

    price = {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1}
    calls = Calls(MemoryLedger(), budget_usd=1, prices=Prices(dict.fromkeys(MODELS, price)), clock=simulation)

    def work(number: int) -> None:
        try:
            calls.call(str(number), {"model": MODELS[number % 2]}, worst_case_usd=0.01, send=send)
        except CallError:
            return

    simulation.run(*[lambda number=number: work(number) for number in range(16)])
    assert most == dict.fromkeys(MODELS, 1) and any(both) and set(answered) == set(MODELS)
