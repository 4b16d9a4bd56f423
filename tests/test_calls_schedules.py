"""Whatever the schedule, the failures and the prices: spend ≤ budget, and the ledger says what the service bills."""

from __future__ import annotations

import random
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
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


@pytest.mark.parametrize("block", range(8))
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
