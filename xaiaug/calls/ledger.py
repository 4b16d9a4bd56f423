"""The ledger of paid calls: intents and replies, committed before anything else happens."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from ..records import JSON, UNKNOWN_USAGE, ModelSpending, OpenBatch, OpenCall, RawReply, Spending


class Ledger(Protocol):
    """Keeps every call; each method has committed when it returns. Threads may share it."""

    def spending(self) -> Spending:
        """What was paid, and what may still be due."""
        ...

    def reply(self, key: str) -> RawReply | None:
        """The first readable reply recorded under a key; None if there is none."""
        ...

    def intend(self, key: str, price: Mapping[str, JSON], worst: int) -> int:
        """Records a call that is about to be sent, with its stated worst case in picodollars; returns its number."""
        ...

    def settle(self, intent: int, reply: RawReply, cost: int) -> None:
        """Records the reply to an intent, as received, and its cost in picodollars."""
        ...

    def release(self, intent: int) -> None:
        """Records that the service rejected an intent without billing it."""
        ...

    def intend_batch(self, tag: str, calls: Sequence[OpenCall]) -> list[int]:
        """Records a batch that is about to be sent, all of its calls or none; returns the intents' numbers."""
        ...

    def name_batch(self, tag: str, name: str) -> None:
        """Records the service's name for a batch."""
        ...

    def open_batches(self) -> list[OpenBatch]:
        """The batches with open calls, oldest first."""
        ...

    def abandon_batch(self, tag: str) -> None:
        """Gives up a batch that will not be answered: its open calls stay open, and may be sent again."""
        ...


@dataclass
class _Entry:
    key: str
    price: Mapping[str, JSON]
    worst: int
    reply: RawReply | None = None
    cost: int = 0
    released: bool = False

    @property
    def model(self) -> str:
        return str(self.price.get("model"))

    @property
    def is_open(self) -> bool:
        return self.reply is None and not self.released

    @property
    def is_unreported(self) -> bool:
        return self.reply is not None and self.reply.usage == UNKNOWN_USAGE


class MemoryLedger:
    """Keeps calls in memory."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._replies: dict[str, RawReply] = {}
        self._batches: dict[str, tuple[str | None, list[int]]] = {}
        self._lock = threading.Lock()

    def spending(self) -> Spending:
        """As in `Ledger`."""
        with self._lock:
            paid = [entry for entry in self._entries if entry.reply is not None]
            by_model: dict[str, list[_Entry]] = {}
            for entry in self._entries:
                by_model.setdefault(entry.model, []).append(entry)
            models = tuple(_model_spending(model, entries) for model, entries in sorted(by_model.items()))
            return Spending(
                settled=sum(entry.cost for entry in paid),
                assumed=sum(entry.cost for entry in paid if entry.is_unreported),
                open=sum(one.open for one in models),
                replies=len(paid),
                unreported=sum(entry.is_unreported for entry in paid),
                unanswered=sum(entry.is_open for entry in self._entries),
                unbilled=sum(entry.released for entry in self._entries),
                prices=tuple({repr(entry.price): entry.price for entry in self._entries}.values()),
                models=models,
            )

    def reply(self, key: str) -> RawReply | None:
        """As in `Ledger`."""
        return self._replies.get(key)

    def intend(self, key: str, price: Mapping[str, JSON], worst: int) -> int:
        """As in `Ledger`."""
        with self._lock:
            self._entries.append(_Entry(key, price, worst))
            return len(self._entries) - 1

    def settle(self, intent: int, reply: RawReply, cost: int) -> None:
        """As in `Ledger`."""
        with self._lock:
            entry = self._entries[intent]
            entry.reply, entry.cost = reply, cost
            self._replies.setdefault(entry.key, reply)

    def release(self, intent: int) -> None:
        """As in `Ledger`."""
        with self._lock:
            self._entries[intent].released = True

    def intend_batch(self, tag: str, calls: Sequence[OpenCall]) -> list[int]:
        """As in `Ledger`."""
        intents = [self.intend(call.key, call.price, call.worst) for call in calls]
        with self._lock:
            self._batches[tag] = (None, intents)
        return intents

    def name_batch(self, tag: str, name: str) -> None:
        """As in `Ledger`."""
        with self._lock:
            self._batches[tag] = (name, self._batches[tag][1])

    def open_batches(self) -> list[OpenBatch]:
        """As in `Ledger`."""
        with self._lock:
            batches = [
                OpenBatch(tag, name, self._open_calls(intents)) for tag, (name, intents) in self._batches.items()
            ]
        return [batch for batch in batches if batch.calls]

    def abandon_batch(self, tag: str) -> None:
        """As in `Ledger`."""
        with self._lock:
            del self._batches[tag]

    def _open_calls(self, intents: Sequence[int]) -> dict[int, OpenCall]:
        entries = {intent: self._entries[intent] for intent in intents}
        return {
            intent: OpenCall(entry.key, entry.price, entry.worst) for intent, entry in entries.items() if entry.is_open
        }


def _model_spending(model: str, entries: Iterable[_Entry]) -> ModelSpending:
    paid = [entry for entry in entries if entry.reply is not None]
    return ModelSpending(
        model,
        replies=len(paid),
        stated=sum(entry.worst for entry in entries if entry.is_open),
        over=sum(max(0, entry.cost - entry.worst) for entry in paid),
        ratio=max([Fraction(1), *(Fraction(entry.cost, entry.worst) for entry in paid if entry.worst)]),
    )
