"""How many calls may be in flight: grows while the service keeps up, shrinks when it says 429."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import ConfigError
from .circuit_breaker import CircuitBreaker, Clock

CUT = 0.75
NEAR = 0.9  # of the limit where the last 429 came: so far it is safe to go back at once
PROBE = 0.01  # of that limit: the first step into the unknown; each further one is twice as long,
LONGEST_PROBE = 0.05  # up to this share of the limit
ANSWERS_A_PROBE = 32  # a probe may cost a 429, so that about one call in so many is wasted
SECONDS_A_PROBE = 5.0  # or so much time, where answers are slow to come
SMOOTHING = 0.1
ECHO_S = 0.25  # so soon after a cut a 429 still tells of the calls before it


class CallLimiter:
    """Doubles with every window of answers until the first 429; then three quarters on a 429, and slowly up.

    A window is as many answers as may be in flight. A 429 to a call that was sent before the last cut, or so soon after
    it that the service still counts what came before, does not cut again. Errors of the service itself (5xx) leave the
    limit as it is.

    From the first 429 on calls are also sent evenly, so many in the time of one answer as the limit says: services
    count requests a second or a minute, and mind a burst. That makes parts of a call count, too.

    Args:
        start: calls in flight at first.
        most: calls in flight at most.

    Raises:
        ConfigError: not 1 ≤ start ≤ most.
    """

    def __init__(self, start: int = 8, most: int = 64) -> None:
        if not 1 <= start <= most:
            raise ConfigError(f"calls in flight: expected 1 ≤ start ≤ most, got start {start} and most {most}")
        self.most = most
        self._limit = float(start)
        self._ceiling: float | None = None  # where the last 429 came
        self._latency = 0.0
        self._answers = 0  # since the limit last changed
        self._changed_s = -math.inf
        self._probes = 0  # since the last 429
        self._heard_s = -math.inf  # a 429 to a call sent before this tells what is known already

    @property
    def allowed(self) -> int:
        """Calls that may be in flight now, those that wait for their moment included."""
        if self._ceiling is None:
            return int(self._limit)
        return min(self.most, math.ceil(self._limit) + 1)

    @property
    def gap_s(self) -> float:
        """Seconds between two calls; 0 until the first 429."""
        return 0.0 if self._ceiling is None else self._latency / self._limit

    def answered(self, latency_s: float, now_s: float, *, crowded: bool) -> None:
        """The service kept up with a call; `crowded`: as many were in flight as allowed, so that more can be tried."""
        self._latency += SMOOTHING * (latency_s - self._latency) if self._latency else latency_s
        if not crowded:
            return
        self._answers += 1
        if self._ceiling is None:
            if self._answers >= self._limit:
                self._set(self._limit * 2, now_s)
        elif self._limit < NEAR * self._ceiling:
            if self._answers >= self._limit:
                self._set(NEAR * self._ceiling, now_s)
        elif self._answers >= ANSWERS_A_PROBE or now_s >= self._changed_s + SECONDS_A_PROBE:
            step = min(PROBE * 2 ** min(self._probes, 10) * self._ceiling, LONGEST_PROBE * self._limit)
            self._set(self._limit + step, now_s)
            self._probes += 1

    def throttled(self, sent_s: float, now_s: float) -> None:
        """The service said 429 to a call sent at that time."""
        if sent_s >= self._heard_s:
            before = self._limit
            self._set(before * CUT, now_s)
            # A probe finds the ceiling closely; anything else came from far above it.
            self._ceiling, self._probes = before if self._probes else self._limit, 0
            self._heard_s = now_s + ECHO_S

    def _set(self, limit: float, now_s: float) -> None:
        self._changed_s = now_s
        self._limit = min(max(1.0, limit), float(self.most))
        self._answers = 0


class CallGate:
    """Where threads wait until they may call.

    A call keeps its place while it waits to be sent again: a service that asks everybody to wait is not asked by
    others meanwhile.

    Args:
        limit: how many may be through at once.
        halt: ends all waiting.
        clock: the time.
    """

    def __init__(self, limit: CallLimiter, halt: CircuitBreaker, clock: Clock) -> None:
        self._limit, self._halt, self._clock = limit, halt, clock
        self._next = clock.now()  # when the next call may be sent
        self._freed = halt.condition()
        self._done = halt.condition()
        self._inside = 0
        self._keys: set[str] = set()

    @contextmanager
    def alone(self, key: str) -> Iterator[None]:
        """Nobody else is at work on this key meanwhile."""
        with self._done:
            while key in self._keys:
                self._done.wait()
            self._keys.add(key)
        try:
            yield
        finally:
            with self._done:
                self._keys.remove(key)
                self._done.notify_all()

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place among the calls in flight."""
        with self._freed:
            self._halt.check()
            while self._inside >= self._limit.allowed:
                self._freed.wait()
                self._halt.check()
            self._inside += 1
        try:
            yield
        finally:
            with self._freed:
                self._inside -= 1
                self._freed.notify()

    def turn(self) -> None:
        """Waits for the moment to send."""
        with self._freed:
            moment = max(self._next, self._clock.now())
            self._next = moment + self._limit.gap_s
        self._halt.sleep(moment - self._clock.now())

    def answered(self, latency_s: float) -> None:
        """The service kept up: it answered a call in that time."""
        with self._freed:
            before = self._limit.allowed
            self._limit.answered(latency_s, self._clock.now(), crowded=self._inside >= before)
            if self._limit.allowed > before:
                self._freed.notify_all()

    def throttled(self, sent_s: float) -> None:
        """The service said 429 to a call sent at that time."""
        with self._freed:
            self._limit.throttled(sent_s, self._clock.now())
