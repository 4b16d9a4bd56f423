"""What an outside service answered, and what its answers cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ..errors import CallError
from .json_type import JSON

PICO = 10**12  # amounts are whole picodollars: a token at a millionth of a dollar per million is one of them


@dataclass(frozen=True)
class RawReply:
    """What an outside service answered, before anyone parsed it.

    Attributes:
        body: the reply as received.
        usage: what is billed, by name: "input_tokens" (all of them, cached ones included), "output_tokens",
            "cache_read_tokens" and "cache_write_tokens".
    """

    body: Mapping[str, JSON]
    usage: Mapping[str, int]


@dataclass(frozen=True)
class Spending:
    """What a run paid and may have to pay.

    Attributes:
        settled: cost of all recorded replies, in picodollars.
        open: worst case of all calls that were sent and have no reply, in picodollars.
        replies: recorded replies.
        unanswered: calls that were sent and have no reply.
        unbilled: calls the service turned down without billing them.
        prices: each price that was used, with its model, source and date.
    """

    settled: int = 0
    open: int = 0
    replies: int = 0
    unanswered: int = 0
    unbilled: int = 0
    prices: tuple[Mapping[str, JSON], ...] = ()


@dataclass(frozen=True)
class BatchedCall:
    """A call that may wait: it is sent in a batch with others, at half the price.

    Attributes:
        key: equal for calls whose replies may stand for each other.
        request: what is sent; its "model" names the price.
        worst_case_usd: most it could cost if it were sent alone, in dollars.
    """

    key: str
    request: Mapping[str, JSON]
    worst_case_usd: float


@dataclass(frozen=True)
class OpenCall:
    """A call of a batch whose reply is not there yet.

    Attributes:
        key: as in `BatchedCall`.
        price: its dated price, JSON-plain.
        worst: most it can cost, in picodollars.
    """

    key: str
    price: Mapping[str, JSON]
    worst: int


@dataclass(frozen=True)
class OpenBatch:
    """A batch whose replies are not all there yet.

    Attributes:
        tag: our name for it; every call in it is sent as the tag, a hyphen and the number of its intent.
        name: the service's name for it; None while the service has not told one.
        calls: those without a reply, by intent.
    """

    tag: str
    name: str | None
    calls: Mapping[int, OpenCall]


class BatchClient(Protocol):
    """Carries batches to one service and back; each method asks once, and raises CallError where that fails.

    Attributes:
        largest: most bytes of requests, as JSON, that one batch may hold.
    """

    largest: int

    def post(self, tag: str, requests: Mapping[str, Mapping[str, JSON]]) -> str:
        """Sends requests, by the names their results will bear; returns the service's name for the batch."""
        ...

    def find(self, tag: str, count: int) -> list[str]:
        """The service's names of batches that may be the one of that tag and so many requests; the newest first."""
        ...

    def ended(self, name: str) -> bool:
        """Whether a batch is done, with or without success."""
        ...

    def results(self, name: str) -> Iterable[tuple[str, RawReply | CallError]]:
        """The result of each request of a batch that ended, in any order; what bears no name counts for all others."""
        ...

    def forget(self, name: str) -> None:
        """Asks the service to delete what it holds of a batch that ended."""
        ...
