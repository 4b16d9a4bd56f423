"""Paid calls: requests, replies, batches and what they cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Protocol

from ..errors import CallError
from .json_type import JSON

PICO = 10**12  # picodollars per dollar; amounts are integers, and a token at $1 per million tokens is 10**6
# The usage of a reply whose service did not report it: a unit without a rate, so that the worst case counts.
UNKNOWN_USAGE: Mapping[str, int] = MappingProxyType({"unknown": 1})


@dataclass(frozen=True)
class RawReply:
    """The unparsed reply of an outside service.

    Attributes:
        body: the reply as received.
        usage: the billed counts: "input_tokens" (including cached ones), "output_tokens",
            "cache_read_tokens" and "cache_write_tokens".
        stated: what the service says that it bills, in picodollars, where it does; it then counts as the cost.
    """

    body: Mapping[str, JSON]
    usage: Mapping[str, int]
    stated: int | None = None


@dataclass(frozen=True)
class ModelSpending:
    """What the calls of one model were billed, against the worst cases that their plugin stated.

    Attributes:
        model: its name in requests.
        replies: number of recorded replies.
        stated: stated worst cases of all calls sent but not answered, in picodollars.
        over: what was billed above the worst cases, in picodollars.
        ratio: the largest ratio of a bill to its worst case; at least 1.
    """

    model: str
    replies: int = 0
    stated: int = 0
    over: int = 0
    ratio: Fraction = Fraction(1)

    @property
    def open(self) -> int:
        """What the calls without an answer may cost: their worst cases, times the largest ratio."""
        return math.ceil(self.stated * self.ratio)


@dataclass(frozen=True)
class Spending:
    """What a run has paid, and may still have to pay.

    Attributes:
        settled: cost of all recorded replies, in picodollars.
        open: what all calls sent but not answered may cost, in picodollars.
        replies: number of recorded replies.
        unanswered: number of calls sent but not answered.
        unbilled: number of calls that the service rejected without billing them.
        prices: each price used, with its model, source and date.
        models: what each model was billed, by name.
        assumed: of what is settled, the worst cases of replies whose usage the service did not report.
        unreported: number of these replies.
    """

    settled: int = 0
    open: int = 0
    replies: int = 0
    unanswered: int = 0
    unbilled: int = 0
    prices: tuple[Mapping[str, JSON], ...] = ()
    models: tuple[ModelSpending, ...] = ()
    assumed: int = 0
    unreported: int = 0


@dataclass(frozen=True)
class BatchedCall:
    """A call that can wait: it is sent in a batch with others, at half the price.

    Attributes:
        key: equal for calls whose replies are interchangeable.
        request: the request; its "model" names the price.
        worst_case_usd: the most it could cost outside a batch, in dollars.
    """

    key: str
    request: Mapping[str, JSON]
    worst_case_usd: float


@dataclass(frozen=True)
class OpenCall:
    """A call in a batch that has no reply yet.

    Attributes:
        key: as in `BatchedCall`.
        price: its dated price, plain JSON.
        worst: the most it can cost, in picodollars.
    """

    key: str
    price: Mapping[str, JSON]
    worst: int


@dataclass(frozen=True)
class OpenBatch:
    """A batch with calls that have no reply yet.

    Attributes:
        tag: our name for it; each call in it is sent under the tag, a hyphen and the number of its intent.
        name: the service's name for it; None until the service has given one.
        calls: the calls without a reply, by intent.
    """

    tag: str
    name: str | None
    calls: Mapping[int, OpenCall]


class BatchClient(Protocol):
    """Sends batches to one service and fetches their results; each method makes one attempt and may raise CallError.

    Attributes:
        largest: the most bytes of requests, as JSON, in one batch.
    """

    largest: int

    def post(self, tag: str, requests: Mapping[str, Mapping[str, JSON]]) -> str:
        """Sends requests, keyed by the names of their results; returns the service's name for the batch."""
        ...

    def find(self, tag: str, count: int) -> list[str]:
        """The service's names of batches that may be the one with that tag and number of requests, newest first."""
        ...

    def is_done(self, name: str) -> bool:
        """Whether a batch is done, successful or not."""
        ...

    def results(self, name: str) -> Iterable[tuple[str, RawReply | CallError]]:
        """The result of each request of a finished batch, in any order; one without a name applies to all others."""
        ...

    def forget(self, name: str) -> None:
        """Asks the service to delete what it stores of a finished batch."""
        ...
