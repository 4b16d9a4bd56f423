"""Classifies failed calls: temporary (retry), of one item, or fatal for all calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from ..credentials import mask_key_shapes
from ..errors import CallError

Kind = Literal["retry", "fatal", "item"]
_TEMPORARY = {408, 409, 425}
_FATAL = {401, 402, 403, 404}
# One provider reports an account out of credit with 429, another with 400.
_NO_CREDIT = re.compile(r"insufficient_quota|billing|credit balance|usage limits?\b|exceeded your current quota", re.I)
# Sent by a proxy: the service may have carried out the request all the same, and billed it.
_MAYBE_BILLED = {408, 502, 504, 520, 522, 524}
# Exceptions of an HTTP library before anything is sent, by name since each library has its own.
_NO_CONNECTION = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ConnectionRefusedError", "gaierror"}
_NO_REQUEST = {"LocalProtocolError", "UnsupportedProtocol", "InvalidURL", "UnicodeEncodeError"}
_ADVICE = {
    401: "check the API key",
    402: "top up the account",
    403: "check what the key, the account and this region may use",
    404: "check the model's name and the service's address",
}


def classify(status: int | None, detail: str = "") -> Kind:
    """What a failure means: "retry" later, "fatal" for all calls, or of this "item" alone.

    Args:
        status: the HTTP status; None without an answer.
        detail: the service's type, code and message of the error; tells a spent quota from a rate limit.
    """
    if status is None or status in _TEMPORARY or status >= 500:
        return "retry"
    if status in _FATAL or status < 400 or (status in (400, 429) and _NO_CREDIT.search(detail)):
        return "fatal"
    return "retry" if status == 429 else "item"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by the header "retry-after-ms" or "retry-after" (seconds or a date); None without one."""
    lowered = {name.lower(): value for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            return max(0.0, float(lowered[name]) / unit)
        except (KeyError, ValueError):
            continue
    try:
        until = parsedate_to_datetime(lowered.get("retry-after", ""))
    except ValueError:
        return None
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def is_unsent(error: BaseException) -> bool:
    """Whether a request could not even be written, as for a character that cannot be encoded: it is not billed."""
    return any(kind.__name__ in _NO_REQUEST for kind in type(error).__mro__)


def unsent_error(error: BaseException) -> CallError:
    """The exception of a request that could not be written as a CallError, without its text, which may quote a key."""
    return CallError("item", f"the request cannot be sent ({type(error).__name__})", reached=False)


def network_error(error: BaseException) -> CallError:
    """An exception of the network or an HTTP library as a CallError: it may work again later, unless it is unsent."""
    if is_unsent(error):
        return unsent_error(error)
    # Without a connection nothing was sent: no server at that address, or no such name.
    reached = type(error).__name__ not in _NO_CONNECTION
    return CallError("retry", f"{type(error).__name__}: {error}", reached=reached)


def may_be_billed(error: CallError) -> bool:
    """Whether the service may have done the work without a reply reaching us."""
    return error.reached and (error.status is None or error.status in _MAYBE_BILLED)


def refusal_message(error: CallError) -> str:
    """One line for the user: the service's message, and what to do."""
    advice = _ADVICE.get(error.status or 0, "raise the account's limits or top it up")
    return (
        f"the service refuses every call ({error.status or 'no status'}: {redact(error.message)}); {advice}, then "
        "rerun the same command"
    )


def redact(message: str) -> str:
    """A message on one line of at most 200 characters, without anything that looks like a key."""
    line = " ".join(mask_key_shapes(message[:10_000]).split())
    return line if len(line) <= 200 else f"{line[:199]}…"
