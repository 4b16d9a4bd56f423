"""The same paid calls, asked afresh."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..errors import CallError
from ..interfaces import PaidCalls
from ..records import JSON, BatchedCall, Courier, RawReply


@dataclass(frozen=True)
class Drawn:
    """Paid calls whose replies stand for no other draw's; satisfies `PaidCalls`.

    Attributes:
        calls: what is called.
        draw: number of the draw, part of every key.
    """

    calls: PaidCalls
    draw: int

    def call(
        self,
        key: str,
        request: Mapping[str, JSON],
        *,
        worst_case_usd: float,
        send: Callable[[Mapping[str, JSON]], RawReply],
    ) -> RawReply:
        """As `PaidCalls.call`."""
        return self.calls.call(self._key(key), request, worst_case_usd=worst_case_usd, send=send)

    def batch(self, calls: Sequence[BatchedCall], courier: Courier) -> list[RawReply | CallError]:
        """As `PaidCalls.batch`."""
        return self.calls.batch([replace(call, key=self._key(call.key)) for call in calls], courier)

    def worst_case_usd(self, model: str, usage: Mapping[str, int]) -> float:
        """As `PaidCalls.worst_case_usd`."""
        return self.calls.worst_case_usd(model, usage)

    def reject(self, key: str, reason: str) -> None:
        """As `PaidCalls.reject`."""
        self.calls.reject(self._key(key), reason)

    def _key(self, key: str) -> str:
        return f"draw {self.draw}: {key}"
