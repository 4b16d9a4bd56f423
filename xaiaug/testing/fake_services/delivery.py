"""A finished answer, ready to be sent: bytes, pace and price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .bill import Bill

FREE = Bill()
NOTHING = -1


@dataclass(frozen=True)
class Delivery:
    """What the wire sends, and how.

    Attributes:
        status: The HTTP status.
        headers: Headers beyond content-length and date.
        body: The bytes of the body.
        charge: What the reply costs when it is handed over whole; an empty bill for errors.
        before: Seconds of waiting before anything is sent.
        over: Seconds over which the sending is spread.
        pieces: How many pieces are sent in that time.
        cut: Bytes of the body after which the connection is closed; `NOTHING` closes it before the headers.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    charge: Bill = FREE
    before: float = 0.0
    over: float = 0.0
    pieces: int = 1
    cut: int | None = None
