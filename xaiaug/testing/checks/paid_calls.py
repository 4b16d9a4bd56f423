"""The `context.paid` of a plugin under test: real paid calls without a price list."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from ...calls import Calls, MemoryLedger, Price, Prices
from ...calls.prices import UNITS, Rate
from ...errors import CallError
from ...records import JSON, BatchClient, BatchedCall, RawReply

BUDGET_USD = 1000.0


class CountedCalls:
    """The real `Calls` with a large budget, one price for every model, and a count of the requests.

    Attributes:
        sent: requests that were sent, including failed ones.
    """

    def __init__(self) -> None:
        self._calls = Calls(MemoryLedger(), budget_usd=BUDGET_USD, prices=_OnePrice())
        self.sent = 0

    def call(
        self,
        key: str,
        request: Mapping[str, JSON],
        *,
        worst_case_usd: float,
        send: Callable[[Mapping[str, JSON]], RawReply],
    ) -> RawReply:
        """As in `PaidCalls`."""

        def count_and_send(request: Mapping[str, JSON]) -> RawReply:
            self.sent += 1
            return send(request)

        return self._calls.call(key, request, worst_case_usd=worst_case_usd, send=count_and_send)

    def batch(self, calls: Sequence[BatchedCall], batch_client: BatchClient) -> list[RawReply | CallError]:
        """As in `PaidCalls`; each of the calls counts as sent."""
        self.sent += len(calls)
        return self._calls.batch(calls, batch_client)

    def worst_case_usd(self, model: str, usage: Mapping[str, int]) -> float:
        """As in `PaidCalls`."""
        return self._calls.worst_case_usd(model, usage)

    def reject(self, key: str, reason: str) -> None:
        """As in `PaidCalls`."""
        self._calls.reject(key, reason)


class _OnePrice(Prices):
    def of(self, model: str) -> Price:
        """One dollar per million tokens of any kind."""
        return Price(model, "testing", "2000-01-01", {unit: Rate(Decimal(1)) for unit in UNITS})
