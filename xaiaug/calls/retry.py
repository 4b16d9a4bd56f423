"""Classifies failed calls: temporary (retry), of one item, refused by a filter, or fatal for all calls."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from ..credentials import mask_key_shapes
from ..errors import CallError
from .error_body import read_wait

Kind = Literal["retry", "fatal", "item", "refusal"]
_TEMPORARY = {408, 409, 423, 424, 425, 499}  # 424 is Bedrock's for a model that failed on the way
_FATAL = {401, 402, 403, 404, 410}
# Of a limit on requests, told with another status than 429: by AWS with 400, by Google and GitHub with 403.
_RATE = re.compile(r"throttl|rate.?limit|too many requests", re.I)
_NEVER_REFUSAL = {401, 402, 404, 408, 409, 429}
# One provider reports an account out of credit with 429, another with 400.
_NO_CREDIT = re.compile(
    r"insufficient.?(quota|credit|balance|fund|user.quota)|billing|credit balance|usage limits?\b|more credits"
    r"|exceeded your current quota|out of credit|budget.{0,12}exceeded|arrear|payment required",
    re.I,
)
_LINK = re.compile(r"(https?://|www\.)\S+")
# What a filter says, by status 400, 403 or 500: of this one request, not of the account.
_FILTERED = re.compile(
    r"content.?(filter|policy|management policy|exists? risk|moderation)|contentpolicy|responsible.?ai|censor"
    r"|flagged|requires moderation|moderation.blocked|usage (polic|guideline)|safety (system|filter|polic|set)"
    r"|(blocked|rejected|refused|stopped) (by|due to|for|because of) .{0,40}(safety|filter|polic|guardrail|moderation)"
    r"|prohibited.content|guard(rail)?\b.{0,60}(interven|block|violat|reject)|blocked by .{0,40}guard"
    r"|data.?inspection|inappropriate content|(response|output|candidate)s? (was|were|has been|is) blocked"
    r"|violat\w+ .{0,40}(polic|guideline|terms|safety)|unsafe.(content|image|input)|image_safety|jailbreak"
    r"|sensitive.?(content|information|words?)|new_sensitive|may contain (a )?(real person|people|minor)"
    r"|敏感|违规|不安全",
    re.I,
)
_OF_ACCOUNT = re.compile(
    r"(account|organi[sz]ation|api key|project|access|user).{0,60}(disabled|deactivated|suspended|banned|terminated)"
    r"|(account|organi[sz]ation).{0,40}(flagged|blocked)",
    re.I,
)
# What no call of this run will get past, although the status may be that of one request.
_PERMANENT = re.compile(
    r"(not|n't) support.{0,20}(image|vision|visual|multi.?modal)|(image|vision|visual).{0,30}not (be )?supported|mmproj"
    r"|not a (multi.?modal|vision)|at most 0 image|no endpoints? found|text.only model"
    r"|api.?key.{0,20}(not valid|invalid|missing|incorrect|required)|(invalid|incorrect|missing|no) api.?key"
    r"|model\b.{0,80}(not (be )?(found|exist|available|loaded|supported)|does ?n.t exist|does not exist|not_found)"
    r"|model\b.{0,60}(decommissioned|deprecated|retired)|deployment.?not.?found|location is not supported"
    r"|(unknown|invalid|no such|no) model\b|no models? (is |are )?loaded|failed to load model|more system memory"
    r"|unsupported.(parameter|value)|unrecognized.{0,10}argument|unknown parameter|extra inputs are not permitted"
    r"|extra_forbidden|(organi[sz]ation|account).{0,40}(disabled|deactivated|suspended)",
    re.I,
)
# Sent by a proxy: the service may have carried out the request all the same, and billed it.
_MAYBE_BILLED = {408, 499, 502, 504, 520, 522, 524}
# Exceptions of an HTTP library before anything is sent, by name since each library has its own.
_NO_CONNECTION = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ConnectionRefusedError", "gaierror"}
_NO_REQUEST = {"LocalProtocolError", "UnsupportedProtocol", "InvalidURL", "UnicodeEncodeError"}
_TIME_OUTS = {"TimeoutError", "TimeoutException", "ReadTimeout", "WriteTimeout"}
_ADVICE = {
    401: "check the API key",
    402: "top up the account",
    403: "check what the key, the account and this region may use",
    404: "check the model's name and the service's address",
    429: "raise the account's limits or top it up",
}
_RESET = re.compile(r"x-ratelimit-reset\W{1,6}(\d{10,13})\b", re.I)  # OpenRouter tells when, also in the body


def classify(status: int | None, detail: str = "", retry_after_s: float | None = None) -> Kind:
    """What a failure means: "retry" later, "fatal" for all calls, a "refusal" of this item, or of this "item" alone.

    Args:
        status: the HTTP status; None without an answer.
        detail: the service's type, code and message of the error; tells a spent quota from a rate limit, and a filter
            from a faulty request.
        retry_after_s: a wait that the service states: whoever states one will answer again.
    """
    if status is None:
        return "retry"
    if status >= 400 and status not in _NEVER_REFUSAL and is_filtered(detail):
        return "refusal"
    if status in _TEMPORARY or status >= 500:
        return "fatal" if status in (500, 501) and _PERMANENT.search(detail) else "retry"
    if status in (400, 403) and _RATE.search(detail) and not lacks_credit(detail):
        status = 429
    if status in _FATAL or status < 400:
        return "fatal"
    if status == 429:
        return "fatal" if retry_after_s is None and lacks_credit(detail) else "retry"
    return "fatal" if lacks_credit(detail) or _PERMANENT.search(detail) else "item"


def is_filtered(detail: str) -> bool:
    """Whether an error is a content filter's no to one request."""
    return bool(_FILTERED.search(detail)) and not _OF_ACCOUNT.search(detail)


def lacks_credit(detail: str) -> bool:
    """Whether an error speaks of an account without credit or quota, and does not only link to its billing page."""
    return bool(_NO_CREDIT.search(_LINK.sub("", detail)))


def retry_after(headers: Mapping[str, str], text: str = "") -> float | None:
    """Seconds to wait; None if none are stated.

    Args:
        headers: "retry-after-ms", "retry-after" (seconds, a duration or a date), or "x-ratelimit-reset" (time of the
            epoch).
        text: the body, which may state a wait where no header does.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            return max(0.0, float(lowered[name]) / unit)
        except (KeyError, ValueError):
            continue
    until = _read_date(lowered.get("retry-after", ""))
    if until is not None:
        return max(0.0, (until - datetime.now(UTC)).total_seconds())
    stated = read_wait(f"retry after {lowered.get('retry-after', '')}\n{text}")
    if stated is not None:
        return stated
    reset = _RESET.search(f"x-ratelimit-reset: {lowered.get('x-ratelimit-reset', '')} {text[:20_000]}")
    if reset is None:
        return None
    moment = int(reset[1]) / (1000 if len(reset[1]) > 11 else 1)
    return max(0.0, moment - time.time())


def _read_date(text: str) -> datetime | None:
    """A date of HTTP or ISO 8601, in UTC where it names no zone; None for all else."""
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            date = read(text)
        except (ValueError, OverflowError):
            continue
        return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
    return None


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
    timed_out = reached and any(kind.__name__ in _TIME_OUTS for kind in type(error).__mro__)
    return CallError("retry", f"{type(error).__name__}: {error}", reached=reached, timed_out=timed_out)


def may_be_billed(error: CallError) -> bool:
    """Whether the service may have done the work without a reply reaching us."""
    if error.billed is not None:
        return error.billed
    return error.reached and (error.status is None or error.status in _MAYBE_BILLED)


def refusal_message(error: CallError) -> str:
    """One line for the user: the service's message, and what to do."""
    other = "raise the account's limits or top it up" if lacks_credit(error.message) else "fix that"
    advice = _ADVICE.get(error.status or 0, other)
    return (
        f"the service refuses every call ({error.status or 'no status'}: {redact(error.message)}); {advice}, then "
        "rerun the same command"
    )


def redact(message: str) -> str:
    """A message on one line of at most 200 characters, without anything that looks like a key."""
    line = " ".join(mask_key_shapes(message[:10_000]).split())
    return line if len(line) <= 200 else f"{line[:199]}…"
