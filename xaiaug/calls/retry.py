"""Which failures pass, which concern one item, and which end everything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from ..errors import CallError

Kind = Literal["retry", "fatal", "item"]
_PASSING = {408, 409, 425}
_FATAL = {401, 402, 403, 404}
# An account without means is told with 429 by one provider and with 400 by another.
_NO_MEANS = re.compile(r"insufficient_quota|billing|credit balance|usage limits?\b|exceeded your current quota", re.I)
# Said by something between us and the service, which may have gone on with the request and billed it.
_UNSURE = {408, 502, 504, 520, 522, 524}
_KEY = re.compile(r"\b(sk|key)-[\w*-]{6,}")
_ADVICE = {
    401: "check the API key",
    402: "top up the account",
    403: "check what the key, the account and this region may use",
    404: "check the model's name and the service's address",
}


def classify(status: int | None, detail: str = "") -> Kind:
    """What a failure means for the calls after it.

    Args:
        status: the HTTP status; None where no answer came.
        detail: type, code and message of the error as the service told them; it tells a spent quota from haste.
    """
    if status is None or status in _PASSING or status >= 500:
        return "retry"
    if status in _FATAL or status < 400 or (status in (400, 429) and _NO_MEANS.search(detail)):
        return "fatal"
    return "retry" if status == 429 else "item"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """How many seconds the service asks to wait, from "retry-after-ms" or "retry-after" (seconds or a date)."""
    named = {name.lower(): value for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            return max(0.0, float(named[name]) / unit)
        except (KeyError, ValueError):
            continue
    try:
        until = parsedate_to_datetime(named.get("retry-after", ""))
    except ValueError:
        return None
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def from_network(error: OSError) -> CallError:
    """What a sender's own exception means: the network failed, and may work again."""
    # Nothing was sent where no connection came about: no server at that address, or none of that name.
    reached = not isinstance(error, ConnectionRefusedError) and type(error).__name__ != "gaierror"
    return CallError("retry", f"{type(error).__name__}: {error}", reached=reached)


def may_be_billed(error: CallError) -> bool:
    """Whether the service may have done the work although it gave no reply."""
    return error.reached and (error.status is None or error.status in _UNSURE)


def advice(error: CallError) -> str:
    """One line for a person: what the service said, and what to do."""
    said = one_line(error.message)
    todo = _ADVICE.get(error.status or 0, "raise the account's limits or top it up")
    return f"the service refuses every call ({error.status or 'no status'}: {said}); {todo}, then run the same command"


def one_line(message: str) -> str:
    """A message on one line, shortened, without anything that looks like a key."""
    line = _KEY.sub(r"\1-…", " ".join(message.split()))
    return line if len(line) <= 200 else f"{line[:199]}…"
