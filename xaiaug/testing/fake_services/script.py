"""The steps of a script: what the server does with a request."""

from __future__ import annotations

import json as _json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ...errors import ConfigError
from .request import Request

SENTENCE = "A short answer."


@dataclass(frozen=True)
class Reply:
    """A successful reply in the request's own protocol.

    `Reply()` answers with an example that satisfies the request's schema, or with a short sentence where there is none.

    Attributes:
        text: The whole text of the reply.
        json: Fields laid over the example of the schema; ignored where `text` is given.
        thinking: Text of a thinking block that comes first. Chat Completions has none and leaves it out.
        stop: `"end"`, `"length"` (the limit of tokens cut it), `"refusal"`, or `"filter"` (a content filter cut it).
        category: Category of a refusal; Anthropic alone tells one.
        usage: Tokens of input and output to tell and to bill, instead of the counted ones.
    """

    text: str | None = None
    json: Mapping[str, Any] | None = field(default=None, kw_only=True)
    thinking: str | None = field(default=None, kw_only=True)
    stop: Literal["end", "length", "refusal", "filter"] = field(default="end", kw_only=True)
    category: str | None = field(default=None, kw_only=True)
    usage: tuple[int, int] | None = field(default=None, kw_only=True)

    @classmethod
    def refusal(cls, text: str = "I cannot help with that.", category: str | None = None) -> Reply:
        """A refusal; like the services', it comes with HTTP 200."""
        return cls(text, stop="refusal", category=category)

    @classmethod
    def truncated(cls, text: str | None = None) -> Reply:
        """A reply that met the limit of tokens: the given text, or the first half of what `Reply()` says."""
        return cls(text, stop="length")

    @classmethod
    def empty(cls) -> Reply:
        """A successful reply without content."""
        return cls("")

    @classmethod
    def recorded(cls, body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Raw:
        """A reply as it was once recorded: JSON values, text or bytes. It is billed by the usage it tells."""
        if isinstance(body, bytes):
            return Raw(body, status, headers or {})
        return Raw((body if isinstance(body, str) else _json.dumps(body)).encode(), status, headers or {})


@dataclass(frozen=True)
class Raw:
    """Any bytes with any status: recorded bodies, broken JSON, the HTML page of a gateway."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Error:
    """An error in the request's own protocol.

    Attributes:
        status: The HTTP status.
        message: What the body says; each service's usual words by default.
        type: Type of the error in the body; the service's own for the status by default.
        code: Code of the error in the body; OpenAI alone has one.
        retry_after: Seconds for a `retry-after` header.
        headers: Further headers.
        quota: Play an empty account, each service in its own way; see `out_of_credit`.
        expired: In a batch: this request is not answered within the day.
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
        """429: too many requests, come back later."""
        return cls(429, retry_after=retry_after)

    @classmethod
    def out_of_credit(cls) -> Error:
        """No money left: 429 `insufficient_quota` from OpenAI, 400 `invalid_request_error` from Anthropic.

        Both as quoted in public reports; retrying either is vain.
        """
        return cls(429, quota=True)

    @classmethod
    def expiry(cls) -> Error:
        """A request of a batch that is not answered within the day; 504 where it is sent alone."""
        return cls(504, expired=True)

    @classmethod
    def overloaded(cls) -> Error:
        """529: the service is overloaded."""
        return cls(529)


@dataclass(frozen=True)
class Delay:
    """Wait so many seconds, then go on with another step."""

    seconds: float
    then: Step = Reply()


@dataclass(frozen=True)
class Drip:
    """Send another step's answer slowly: in so many pieces, spread over so many seconds."""

    seconds: float
    then: Step = Reply()
    pieces: int = field(default=20, kw_only=True)


@dataclass(frozen=True)
class Cut:
    """Close the connection after so many bytes of another step's body; before the headers when `after` is `None`."""

    after: int | None = None
    then: Step = Reply()


@dataclass(frozen=True)
class Limit:
    """Let so many requests a second through to another step, and answer the rest with a 429.

    A token bucket: `burst` requests (a second's worth by default) may come at once. All limits of a script with the
    same rate and burst share one bucket. `retry_after` sends that header; the services send whole seconds.
    """

    per_second: float
    then: Step = Reply()
    burst: int | None = field(default=None, kw_only=True)
    retry_after: float | None = field(default=None, kw_only=True)


Step = Reply | Raw | Error | Delay | Drip | Cut | Limit
Script = Step | Sequence[Step] | Callable[[Request], Step]


@dataclass
class Bucket:
    """A token bucket: `capacity` tokens at first, refilled by `rate` a second up to that many."""

    rate: float
    capacity: float
    tokens: float
    at: float

    def take(self, now: float) -> bool:
        """Whether there is a token at the time `now`; if so it is gone."""
        self.tokens = min(self.capacity, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass(frozen=True)
class Pace:
    """When and how much of an answer is sent; see `Delivery`."""

    before: float = 0.0
    over: float = 0.0
    pieces: int = 1
    cut: bool = False
    after: int | None = None


class Player:
    """Plays a script: which answer a request gets, and at which pace. Not safe to use from many threads at once."""

    def __init__(self, script: Script, clock: Callable[[], float] = time.monotonic) -> None:
        self._script = _checked(script)
        self._clock = clock
        self._buckets: dict[tuple[float, float], Bucket] = {}

    def play(self, request: Request) -> tuple[Reply | Raw | Error, Pace]:
        """The answer to a request. The last step of a sequence answers every further request.

        Raises:
            ConfigError: The script is a function and gave something that is no step.
        """
        script = self._script
        if callable(script):
            step = script(request)
        elif isinstance(script, Sequence):
            step = script[min(request.number, len(script)) - 1]
        else:
            step = script
        return self._unfold(_step(step), Pace())

    def _unfold(self, step: Step, pace: Pace) -> tuple[Reply | Raw | Error, Pace]:
        match step:
            case Delay():
                return self._unfold(step.then, replace(pace, before=pace.before + step.seconds))
            case Drip():
                return self._unfold(step.then, replace(pace, over=step.seconds, pieces=step.pieces))
            case Cut():
                return self._unfold(step.then, replace(pace, cut=True, after=step.after))
            case Limit():
                passed = self._bucket(step).take(self._clock())
                return self._unfold(step.then if passed else Error.rate_limit(step.retry_after), pace)
            case _:
                return step, pace

    def _bucket(self, limit: Limit) -> Bucket:
        capacity = limit.burst or max(1, limit.per_second)
        new = Bucket(limit.per_second, capacity, capacity, self._clock())
        return self._buckets.setdefault((limit.per_second, capacity), new)


def _checked(script: Script) -> Script:
    if callable(script):
        return script
    if isinstance(script, Sequence):
        if not script:
            raise ConfigError("Loopback: the script is empty; give it at least one step, such as Reply().")
        return [_step(step) for step in script]
    return _step(script)


def _step(step: object) -> Step:
    if not isinstance(step, Step):
        raise ConfigError(
            f"Loopback: a step of the script is {step!r}; expected Reply, Raw, Error, Delay, Drip, Cut or Limit. "
            "A text goes into Reply(text)."
        )
    return step
