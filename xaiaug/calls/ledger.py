"""Where intents and replies are committed before anything goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ..records import JSON, OpenBatch, OpenCall, RawReply, Spending


class Ledger(Protocol):
    """Keeps every call; each method has committed when it returns. Called from several threads at once."""

    def spending(self) -> Spending:
        """What was paid and may have to be paid."""
        ...

    def reply(self, key: str) -> RawReply | None:
        """The first reply recorded under a key that can still be read; None when there is none."""
        ...

    def intend(self, key: str, price: Mapping[str, JSON], worst: int) -> int:
        """A call is about to be sent: its price and its worst case in picodollars; returns the intent's number."""
        ...

    def settle(self, intent: int, reply: RawReply, cost: int) -> None:
        """The reply to an intent, as received, and its cost in picodollars."""
        ...

    def release(self, intent: int) -> None:
        """The service turned an intent down without billing it."""
        ...

    def intend_batch(self, tag: str, calls: Sequence[OpenCall]) -> list[int]:
        """A batch is about to be sent: its calls, all or none; returns the intents' numbers."""
        ...

    def posted(self, tag: str, name: str) -> None:
        """The service's name for a batch."""
        ...

    def batches(self) -> list[OpenBatch]:
        """The batches in which calls are open, the oldest first."""
        ...

    def lose_batch(self, tag: str) -> None:
        """A batch will never be answered: its open calls stay open, and may be sent again."""
        ...
