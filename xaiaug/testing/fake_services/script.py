"""Scripts of the stand-in services: the steps, and which of them answers a request."""

from __future__ import annotations

import json as _json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from PIL import Image

from ...errors import ConfigError
from .request import Request

SENTENCE = "A short answer."


@dataclass(frozen=True)
class Reply:
    """A successful reply in the request's own protocol.

    `Reply()` answers with an example that satisfies the request's schema, or with a short sentence if there is none.

    Attributes:
        text: the complete text of the reply.
        json: fields that replace those of the schema's example; ignored if `text` is given.
        thinking: text of a thinking block before the reply; Chat Completions has none and leaves it out.
        stop: `"end"`, `"length"` (cut off at the token limit), `"refusal"`, or `"filter"` (cut by a content filter).
        category: of a refusal; only Anthropic has one.
        usage: tokens of input and output to report and to bill, instead of the counted ones.
        image: that the Images API answers with; by default noise by the request's text, and in an edit only where the
            mask is transparent.
    """

    text: str | None = None
    json: Mapping[str, Any] | None = field(default=None, kw_only=True)
    thinking: str | None = field(default=None, kw_only=True)
    stop: Literal["end", "length", "refusal", "filter"] = field(default="end", kw_only=True)
    category: str | None = field(default=None, kw_only=True)
    usage: tuple[int, int] | None = field(default=None, kw_only=True)
    image: Image.Image | None = field(default=None, kw_only=True, repr=False)

    @classmethod
    def refusal(cls, text: str = "I cannot help with that.", category: str | None = None) -> Reply:
        """A refusal; as from the services, its status is 200."""
        return cls(text, stop="refusal", category=category)

    @classmethod
    def truncated(cls, text: str | None = None) -> Reply:
        """A reply cut off at the token limit: the given text, or the first half of what `Reply()` answers."""
        return cls(text, stop="length")

    @classmethod
    def empty(cls) -> Reply:
        """A successful reply without content."""
        return cls("")

    @classmethod
    def recorded(cls, body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Raw:
        """A recorded reply: JSON values, text or bytes. It is billed by the usage in it."""
        if isinstance(body, bytes):
            return Raw(body, status, headers or {})
        return Raw((body if isinstance(body, str) else _json.dumps(body)).encode(), status, headers or {})


@dataclass(frozen=True)
class Raw:
    """Any bytes with any status: a recorded body, broken JSON, the HTML page of a gateway."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Error:
    """An error in the request's own protocol.

    Attributes:
        status: HTTP status.
        message: of the error; by default the service's usual one.
        type: of the error; by default the service's type for the status.
        code: of the error; only OpenAI has one.
        retry_after: seconds for a `retry-after` header.
        headers: more headers.
        quota: whether the account is out of credit; see `out_of_credit`.
        expired: in a batch: whether the request expires unanswered.
    """

    status: int
    message: str | None = None
    type: str | None = field(default=None, kw_only=True)
    code: str | None = field(default=None, kw_only=True)
    retry_after: float | None = field(default=None, kw_only=True)
    headers: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    quota: bool = field(default=False, kw_only=True)
    expired: bool = field(default=False, kw_only=True)

    @classmethod
    def rate_limit(cls, retry_after: float | None = None) -> Error:
        """429: too many requests."""
        return cls(429, retry_after=retry_after)

    @classmethod
    def out_of_credit(cls) -> Error:
        """Out of credit: 429 `insufficient_quota` from OpenAI, 400 `invalid_request_error` from Anthropic.

        Both as quoted in public reports; retrying does not help.
        """
        return cls(429, quota=True)

    @classmethod
    def expiry(cls) -> Error:
        """A request of a batch that expires unanswered; 504 if it is sent alone."""
        return cls(504, expired=True)

    @classmethod
    def overloaded(cls) -> Error:
        """529: the service is overloaded."""
        return cls(529)


@dataclass(frozen=True)
class Delay:
    """Waits that many seconds before another step."""

    seconds: float
    then: Step = Reply()


@dataclass(frozen=True)
class Drip:
    """Sends another step's response slowly: in that many pieces, spread over that many seconds."""

    seconds: float
    then: Step = Reply()
    pieces: int = field(default=20, kw_only=True)


@dataclass(frozen=True)
class Cut:
    """Closes the connection after that many bytes of another step's body; if None, before the headers."""

    after: int | None = None
    then: Step = Reply()


@dataclass(frozen=True)
class Limit:
    """Passes that many requests a second to another step, and answers the rest with a 429.

    A token bucket: `burst` requests (by default those of one second) may come at once. All limits of a script with the
    same rate and burst share one bucket. `retry_after` sends that header; the services send full seconds.
    """

    per_second: float
    then: Step = Reply()
    burst: int | None = field(default=None, kw_only=True)
    retry_after: float | None = field(default=None, kw_only=True)


Step = Reply | Raw | Error | Delay | Drip | Cut | Limit
Script = Step | Sequence[Step] | Callable[[Request], Step]


@dataclass
class Bucket:
    """A token bucket: starts with `capacity` tokens and is refilled by `rate` per second up to that many."""

    rate: float
    capacity: float
    tokens: float
    at: float

    def take(self, now: float) -> bool:
        """Takes a token at the time `now`; returns whether there was one."""
        self.tokens = min(self.capacity, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass(frozen=True)
class Pace:
    """When and how much of a response is sent; see `Response`."""

    delay_s: float = 0.0
    spread_s: float = 0.0
    pieces: int = 1
    cut: bool = False
    after: int | None = None


class Player:
    """Plays a script: the answer to each request, and its pace. Not thread-safe."""

    def __init__(self, script: Script, clock: Callable[[], float] = time.monotonic) -> None:
        self._script = _check_script(script)
        self._clock = clock
        self._buckets: dict[tuple[float, float], Bucket] = {}

    def play(self, request: Request) -> tuple[Reply | Raw | Error, Pace]:
        """The answer to a request. The last step of a sequence answers all further requests.

        Raises:
            ConfigError: the script is a function and did not return a step.
        """
        script = self._script
        if callable(script):
            step = script(request)
        elif isinstance(script, Sequence):
            step = script[min(request.number, len(script)) - 1]
        else:
            step = script
        return self._unwrap(_check_step(step), Pace())

    def _unwrap(self, step: Step, pace: Pace) -> tuple[Reply | Raw | Error, Pace]:
        match step:
            case Delay():
                return self._unwrap(step.then, replace(pace, delay_s=pace.delay_s + step.seconds))
            case Drip():
                return self._unwrap(step.then, replace(pace, spread_s=step.seconds, pieces=step.pieces))
            case Cut():
                return self._unwrap(step.then, replace(pace, cut=True, after=step.after))
            case Limit():
                passed = self._bucket(step).take(self._clock())
                return self._unwrap(step.then if passed else Error.rate_limit(step.retry_after), pace)
            case _:
                return step, pace

    def _bucket(self, limit: Limit) -> Bucket:
        capacity = limit.burst or max(1, limit.per_second)
        new = Bucket(limit.per_second, capacity, capacity, self._clock())
        return self._buckets.setdefault((limit.per_second, capacity), new)


def _check_script(script: Script) -> Script:
    if callable(script):
        return script
    if isinstance(script, Sequence):
        if not script:
            raise ConfigError("Loopback: the script is empty; give it at least one step, such as Reply()")
        return [_check_step(step) for step in script]
    return _check_step(script)


def _check_step(step: object) -> Step:
    if not isinstance(step, Step):
        raise ConfigError(
            f"Loopback: a step of the script is {step!r}; expected Reply, Raw, Error, Delay, Drip, Cut or Limit. "
            "Use Reply(text) for a text"
        )
    return step
