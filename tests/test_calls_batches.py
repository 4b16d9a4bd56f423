"""Replies of a batch are settled as they arrive, and bills above the worst case are known and reported at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from xaiaug.calls import CallError, Calls, MemoryLedger, Prices
from xaiaug.errors import BudgetSpentError
from xaiaug.records import BatchedCall, RawReply
from xaiaug.store import CallLedger, Store

PRICES = {"m": {"input_usd_per_mtok": 2, "output_usd_per_mtok": 2}}  # a micro-dollar a token in a batch


class Service:
    """Answers batches with one reply a request; `before` is called before each line of results, and may raise."""

    largest = 2**20

    def __init__(self, tokens: int, before: Callable[[int], None] = lambda _: None) -> None:
        self.tokens, self.before = tokens, before
        self.batches: dict[str, list[str]] = {}

    def post(self, tag: str, requests: Mapping[str, Any]) -> str:
        self.batches[tag] = list(requests)
        return tag

    def find(self, tag: str, count: int) -> list[str]:
        return [tag] if len(self.batches.get(tag, ())) == count else []

    def is_done(self, name: str) -> bool:
        return name in self.batches

    def results(self, name: str) -> Iterator[tuple[str, RawReply | CallError]]:
        for number, request in enumerate(self.batches[name]):
            self.before(number)
            yield request, RawReply({"number": number}, {"input_tokens": self.tokens, "output_tokens": 0})

    def forget(self, name: str) -> None:
        """Keeps nothing."""


def calls(ledger: Any, budget_usd: float = 1.0) -> Calls:
    return Calls(ledger, budget_usd=budget_usd, prices=Prices(PRICES))


def ask(paid: Calls, service: Service, count: int = 4) -> list[RawReply | CallError]:
    # At most a cent each in a batch.
    return paid.batch([BatchedCall(f"k{number}", {"model": "m"}, 0.02) for number in range(count)], service)


def test_an_overrun_is_in_the_ledger_before_the_next_result_is_read() -> None:
    ledger = MemoryLedger()
    paid = calls(ledger)
    seen: list[Any] = []
    ask(paid, Service(50_000, lambda _: seen.append((paid.summary()["settled_usd"], paid.summary()["overruns"]))))
    assert seen[0] == (0, [])
    assert seen[1] == (0.05, [{"model": "m", "over_usd": 0.04, "ratio": 5.0}])
    assert [amount for amount, _ in seen] == [0, 0.05, 0.1, 0.15]


def test_a_budget_that_a_batch_passed_is_reported_in_numbers_and_its_replies_are_kept() -> None:
    ledger = MemoryLedger()
    with pytest.raises(BudgetSpentError) as caught:
        ask(calls(ledger, budget_usd=0.05), Service(50_000))
    assert "the budget of $0.05 is exceeded by $0.15: $0.2 is billed" in str(caught.value)
    assert "'m' were billed up to 5.00 times their worst case, $0.16 above it in total" in str(caught.value)
    again = ask(calls(ledger, budget_usd=0.05), Service(0))
    assert [reply.body["number"] for reply in again if isinstance(reply, RawReply)] == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", ["memory", "store"])
@pytest.mark.parametrize("error", [CallError("retry", "cut"), KeyboardInterrupt()], ids=["cut", "killed"])
def test_results_that_break_off_are_read_on_and_no_reply_is_settled_twice(tmp_path, kind, error) -> None:
    broken = iter([False, False, True])

    def break_once(_: int) -> None:
        if next(broken, False):
            raise error

    service = Service(5_000, break_once)
    with Store(tmp_path) as store:
        ledger = MemoryLedger() if kind == "memory" else CallLedger(store.ledger, store.blobs)
        if isinstance(error, KeyboardInterrupt):
            with pytest.raises(KeyboardInterrupt):
                ask(calls(ledger), service)
            assert ledger.spending().replies == 2, "what arrived is settled"
        paid = calls(ledger)
        assert len(ask(paid, service)) == 4
        assert len(service.batches) == 1
        summary = paid.summary()
    assert (summary["settled_usd"], summary["calls"], summary["unanswered"], summary["unknown_usd"]) == (0.02, 4, 0, 0)


def test_a_batch_that_is_lost_half_read_owes_only_what_was_not_read() -> None:
    def lose(number: int) -> None:
        if number == 3:
            raise CallError("item", "no such batch", status=404)

    ledger = MemoryLedger()
    service = Service(5_000, lose)
    paid = calls(ledger)
    replies = ask(paid, service)
    assert all(isinstance(reply, RawReply) for reply in replies), "the last was sent again"
    assert paid.summary()["settled_usd"] == 0.02 and paid.summary()["unknown_usd"] == 0.01
    assert [len(names) for names in service.batches.values()] == [4, 1]
