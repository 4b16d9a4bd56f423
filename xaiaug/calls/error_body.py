"""Reads error bodies of any shape: the service's words, its status, and how long it asks to wait."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

DEPTH = 8  # of nested parts that are read
PARTS = 12  # words that are kept
PAGE = "a web page"
# Names of parts, in lower case: services differ in that, too.
_SCALARS = (
    *("type", "__type", "status", "code", "errortype", "error_code", "message", "msg", "detail", "title", "reason"),
    *("explanation", "status_msg", "errormessage", "error_message", "error_msg", "error_description", "err"),
    *("faultstring", "description", "failure_reason"),
)
# Parts in which services wrap an error, or put its true cause: OpenRouter quotes its provider in `metadata.raw`.
_NESTED = (
    *("error", "errors", "detail", "innererror", "inner_error", "metadata", "raw", "reasons", "base_resp", "fault"),
    *("validation", "message"),
)
_TAGS = re.compile(r"<(code|message|faultstring|description)>([^<]+)</", re.I)  # of an error in XML
_CODES = ("code", "status", "status_code", "statusCode", "http_status", "http_code")
# Statuses by a service's names for an error.
_NAMES = {
    "rate_limit": 429,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "too_many_requests": 429,
    "resource_exhausted": 429,
    "insufficient_quota": 429,
    "overloaded": 529,
    "overloaded_error": 529,
    "server_error": 500,
    "api_error": 500,
    "internal": 500,
    "internal_error": 500,
    "internal_server_error": 500,
    "not_implemented": 501,
    "unavailable": 503,
    "service_unavailable": 503,
    "timeout": 504,
    "timeout_error": 504,
    "deadline_exceeded": 504,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "unauthorized": 401,
    "unauthenticated": 401,
    "billing_error": 402,
    "permission_error": 403,
    "permission_denied": 403,
    "not_found": 404,
    "not_found_error": 404,
    "model_not_found": 404,
    "unsupported_endpoint": 404,
    "request_too_large": 413,
    "bad_request": 400,
    "invalid_argument": 400,
    "invalid_prompt": 400,
    "invalid_image": 400,
    "invalid_request": 400,
    "invalid_request_error": 400,
    "content_filter": 400,
    "failed_precondition": 400,
    "throttlingexception": 429,
    "serviceunavailableexception": 503,
    "modelnotreadyexception": 503,
    "modeltimeoutexception": 504,
    "internalserverexception": 500,
    "accessdeniedexception": 403,
    "resourcenotfoundexception": 404,
    "validationexception": 400,
}
# For errors that come without any code.
_BY_WORDS = (
    (404, re.compile(r"unexpected endpoint|(unknown|invalid|no such|unsupported) (endpoint|route|path|url)", re.I)),
    (404, re.compile(r"^not found\W*$|no route matched|could not route", re.I)),
    (402, re.compile(r"insufficient.?(balance|credit|fund|quota)", re.I)),
    (429, re.compile(r"rate.?limit|too many requests", re.I)),
    (503, re.compile(r"overloaded|unavailable|try again|timed? ?out|temporar|upstream|loading", re.I)),
    (401, re.compile(r"unauthori[sz]ed|invalid (api )?key|api key|authentication (failed|error)", re.I)),
    (400, re.compile(r"invalid|unsupported|not support|must be|required|expected|too large|exceeds", re.I)),
)
_WAITS = (
    re.compile(r"retryDelay\W{1,6}([\d.]+ ?s)\b"),
    re.compile(
        r"(?:try|retry|again|available|resets?|wait)\b[^.\n]{0,40}?\b(?:in|after|for) ((?:[\d.]+ ?[a-z]+ ?)+)", re.I
    ),
)
_DURATION = re.compile(
    r"([\d.]+) ?(milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)(?![a-z])", re.I
)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def read_words(body: Any) -> str:
    """Type, code and message of an error, and the causes it quotes; empty if there are none.

    Args:
        body: parsed JSON of any shape, or text; of a page, its title.
    """
    words = [" ".join(word.split()) for word in _words(body, DEPTH)]
    return ": ".join(list(dict.fromkeys(word for word in words if word))[:PARTS])


def read_status(error: Any) -> int | None:
    """The HTTP status that an error states, by number or by name, also where it comes with another; None if none."""
    numbers, names = [], []
    for part in _mappings(error, DEPTH):
        numbers += [_to_status(part.get(name)) for name in _CODES]
        words = [str(part.get(name) or "") for name in ("code", "type", "status", "__type")]
        names += [_NAMES.get(word.rpartition("#")[2].lower()) for word in words]
    return next((status for status in (*numbers, *names) if status is not None), None)


def guess_status(words: str) -> int:
    """The HTTP status that fits an error without any code; 500 where its words tell nothing."""
    return next((status for status, known in _BY_WORDS if known.search(words)), 500)


def read_wait(text: str) -> float | None:
    """Seconds to wait as a message states them ("try again in 6m0s", "retryDelay": "36s"); None if it does not."""
    for pattern in _WAITS:
        for match in pattern.finditer(text[:20_000]):
            parts = _DURATION.findall(match[1])
            try:
                seconds = [float(count) * _unit(unit) for count, unit in parts]
            except ValueError:
                continue
            if seconds:
                return sum(seconds)
    return None


def _unit(name: str) -> float:
    lowered = name.lower()
    if lowered.startswith(("ms", "milli")):
        return _UNITS["ms"]
    return _UNITS[lowered[0]]


def _words(part: Any, depth: int) -> Iterator[str]:
    if depth == 0:
        return
    if isinstance(part, str):
        yield from _text_words(part, depth)
    elif isinstance(part, list):
        for inner in part[:PARTS]:
            yield from _words(inner, depth - 1)
    elif isinstance(part, Mapping):
        part = {str(name).lower(): value for name, value in part.items()}
        if isinstance(part.get("loc"), list):  # where FastAPI found it
            yield ".".join(str(step) for step in part["loc"][:PARTS])
        for name in _SCALARS:
            value = part.get(name)
            if isinstance(value, str | int | float) and not isinstance(value, bool) and value not in ("", "error"):
                yield str(value)
        for name in _NESTED:
            value = part.get(name)
            if value and not (isinstance(value, str) and (name in _SCALARS or value == "error")):
                yield from _words(value, depth - 1)


def _text_words(text: str, depth: int) -> Iterator[str]:
    """A text as it is; what it holds if it is JSON, an error in XML, or a page."""
    bare = text.strip()
    if bare.startswith(("{", "[")):
        try:
            yield from _words(json.loads(bare), depth - 1)
        except (ValueError, RecursionError):
            yield bare
        return
    start = bare[:200].lower()
    page = start.startswith(("<!doctype", "<html")) or (start.startswith("<?xml") and "<html" in start)
    tagged = _TAGS.findall(bare[:10_000]) if bare.startswith("<") and not page else []
    if tagged:
        yield from (text for _, text in tagged)
        return
    if page or start.startswith("<?xml"):
        title = re.search(r"<title[^>]*>([^<]*)", bare[:10_000], re.I)
        yield f"{PAGE}{f' ({title[1].strip()})' if title and title[1].strip() else ''}"
        return
    yield bare


def _mappings(part: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    if depth == 0:
        return
    if isinstance(part, Mapping):
        yield part
    parts = (part.get("error"), part.get("errors"), part.get("base_resp")) if isinstance(part, Mapping) else part
    for inner in parts if isinstance(parts, list | tuple) else ():
        yield from _mappings(inner, depth - 1)


def _to_status(value: Any) -> int | None:
    if isinstance(value, str) and value.isdigit():
        value = int(value[:9])
    if isinstance(value, int) and not isinstance(value, bool) and 300 <= value <= 599:
        return value
    return None
