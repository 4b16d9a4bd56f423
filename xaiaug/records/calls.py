"""What an outside service answered, and what its answers cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .json import JSON

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
