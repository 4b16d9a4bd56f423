"""How many calls may be in flight: grows while the service keeps up, shrinks when it answers 429."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import ConfigError
from .circuit_breaker import CircuitBreaker, Clock

CUT = 0.75
NEAR = 0.9  # share of the limit at the last 429 up to which it is safe to return at once
PROBE = 0.01  # share of that limit: the first step beyond it; each further step is twice as long,
LONGEST_PROBE = 0.05  # up to this share of the limit
ANSWERS_A_PROBE = 32  # a probe may cost a 429, so about one call in so many is wasted
SECONDS_A_PROBE = 5.0  # or so much time, if answers are slow
SMOOTHING = 0.1
RAMP = 2  # times the limit that it may grow by in the time of an answer: services refuse at once, and answer later
ECHO_S = 0.25  # a 429 so soon after a cut is still about the calls before it


class ConcurrencyLimit:
    """The number of calls in flight: slow start, then multiplicative decrease on a 429 and slow probing upwards.

    The limit doubles with every window of answers (as many as may be in flight) until the first 429. As long as no call
    fails, it also grows one by one while calls wait, from 8 to 64 in the time of an answer. From the first 429 on a
    429 cuts it to three quarters, and it creeps up again. A 429 does not cut twice: it is ignored if its call was sent
    before the last cut, or so soon after it that the service still counts earlier calls. Server errors (5xx) leave the
    limit as it is.

    From the first 429 on calls are also spaced evenly, as many per answer time as the limit allows, because services
    count requests per second or minute and reject bursts. The spacing makes fractions of a call count, too.

    Args:
        start: initial number of calls in flight.
        most: maximum number of calls in flight.

    Raises:
        ConfigError: not 1 ≤ start ≤ most.
    """

    def __init__(self, start: int = 8, most: int = 64) -> None:
        if not 1 <= start <= most:
            raise ConfigError(f"calls in flight: expected 1 ≤ start ≤ most, got start {start} and most {most}")
        self.most = most
        self._limit = float(start)
        self._ceiling: float | None = None  # the limit at the last 429
        self._latency = 0.0
        self._answers = 0  # since the limit last changed
        self._changed_s = -math.inf
        self._ramps = True  # whether no call failed yet
        self._probes = 0  # since the last 429
        self._cut_s = -math.inf  # a 429 to a call sent before this is already accounted for

    @property
    def allowed(self) -> int:
        """Calls that may be in flight now, including those waiting for their turn to be sent."""
        if self._ceiling is None:
            return int(self._limit)
        return min(self.most, math.ceil(self._limit) + 1)

    @property
    def gap_s(self) -> float:
        """Seconds between two calls; 0 until the first 429."""
        return 0.0 if self._ceiling is None else self._latency / self._limit

    @property
    def due_s(self) -> float:
        """When the limit may grow although no further answer came; infinite where it may not."""
        if not (self._ramps and self._latency) or self._limit >= self.most:
            return math.inf
        return self._changed_s + self._latency / (RAMP * self._limit)

    def on_wait(self, now_s: float) -> bool:
        """Raises the limit by one for a call that waits, if that is due; returns whether it did."""
        due = now_s >= self.due_s
        if due:
            self._change(self._limit + 1, now_s)
        return due

    def on_answer(self, latency_s: float, now_s: float, *, crowded: bool) -> None:
        """Raises the limit after an answer; only if `crowded`: as many calls were in flight as allowed."""
        if not self._latency:
            self._changed_s = now_s
        self._latency += SMOOTHING * (latency_s - self._latency) if self._latency else latency_s
        if not crowded:
            return
        self._answers += 1
        if self._ceiling is None:
            if self._answers >= self._limit:
                self._change(self._limit * 2, now_s)
        elif self._limit < NEAR * self._ceiling:
            if self._answers >= self._limit:
                self._change(NEAR * self._ceiling, now_s)
        elif self._answers >= ANSWERS_A_PROBE or now_s >= self._changed_s + SECONDS_A_PROBE:
            step = min(PROBE * 2 ** min(self._probes, 10) * self._ceiling, LONGEST_PROBE * self._limit)
            self._change(self._limit + step, now_s)
            self._probes += 1

    def on_throttle(self, sent_s: float, now_s: float) -> None:
        """Cuts the limit after a 429 to a call sent at `sent_s`."""
        self._ramps = False
        if sent_s >= self._cut_s:
            before = self._limit
            self._change(before * CUT, now_s)
            # A probe finds the ceiling closely; any other 429 came from far above it.
            self._ceiling, self._probes = before if self._probes else self._limit, 0
            self._cut_s = now_s + ECHO_S

    def on_failure(self) -> None:
        """After another failure the limit grows with answers alone."""
        self._ramps = False

    def _change(self, limit: float, now_s: float) -> None:
        self._changed_s = now_s
        self._limit = min(max(1.0, limit), float(self.most))
        self._answers = 0


class FirstCalls:
    """Makes the first call of each model go alone: its bill shows whether the worst cases of that model hold.

    A critic also learns by it how the server wants to be asked. Until there is a reply, one attempt of the model is
    made at a time, whichever call it belongs to.

    Args:
        breaker: ends all waiting.
    """

    def __init__(self, breaker: CircuitBreaker) -> None:
        self._measured = set[str]()
        self._under_way: set[str] = set()
        self._breaker = breaker
        self._changed = breaker.condition()

    @contextmanager
    def await_turn(self, model: str) -> Iterator[bool]:
        """Waits for the first call of a model; yields whether this is it, which counts if no error is raised."""
        with self._changed:
            while model in self._under_way:
                self._changed.wait()
                self._breaker.check()
            alone = model not in self._measured
            if alone:
                self._under_way.add(model)
        if not alone:
            yield False
            return
        try:
            yield True
            self._measured.add(model)
        finally:
            with self._changed:
                self._under_way.discard(model)
                self._changed.notify_all()


class CallLimiter:
    """Makes threads wait until the concurrency limit lets them call.

    A call keeps its slot while it waits to be sent again: when a service asks to wait, other calls do not take over.

    Args:
        limit: how many calls may be in flight.
        breaker: ends all waiting.
        clock: the time.
    """

    def __init__(self, limit: ConcurrencyLimit, breaker: CircuitBreaker, clock: Clock) -> None:
        self._limit, self._breaker, self._clock = limit, breaker, clock
        self._next_s = clock.now()  # when the next call may be sent
        self._slot_freed = breaker.condition()
        self._key_freed = breaker.condition()
        self._in_flight = 0
        self._keys: set[str] = set()

    @property
    def in_flight(self) -> int:
        """Calls that have a slot, those that wait to be sent again included."""
        return self._in_flight

    @contextmanager
    def lock_key(self, key: str) -> Iterator[None]:
        """Keeps other threads from working on the same key."""
        with self._key_freed:
            while key in self._keys:
                self._key_freed.wait()
            self._keys.add(key)
        try:
            yield
        finally:
            with self._key_freed:
                self._keys.remove(key)
                self._key_freed.notify_all()

    @contextmanager
    def take_slot(self) -> Iterator[None]:
        """Takes a slot among the calls in flight."""
        with self._slot_freed:
            self._breaker.check()
            while self._in_flight >= self._limit.allowed:
                if self._limit.on_wait(self._clock.now()):
                    self._slot_freed.notify_all()
                    continue
                left_s = self._limit.due_s - self._clock.now()
                self._slot_freed.wait(None if left_s == math.inf else max(0.0, left_s))
                self._breaker.check()
            self._in_flight += 1
        try:
            yield
        finally:
            with self._slot_freed:
                self._in_flight -= 1
                self._slot_freed.notify()

    def await_turn(self) -> None:
        """Waits until the next call may be sent."""
        with self._slot_freed:
            turn_s = max(self._next_s, self._clock.now())
            self._next_s = turn_s + self._limit.gap_s
        self._breaker.sleep(turn_s - self._clock.now())

    def on_answer(self, latency_s: float) -> None:
        """Lets the limit grow after the service answered a call in that time."""
        with self._slot_freed:
            before = self._limit.allowed
            self._limit.on_answer(latency_s, self._clock.now(), crowded=self._in_flight >= before)
            if self._limit.allowed > before:
                self._slot_freed.notify_all()

    def on_failure(self) -> None:
        """Tells the limit that a call failed in another way than by a 429."""
        with self._slot_freed:
            self._limit.on_failure()

    def on_throttle(self, sent_s: float) -> None:
        """Cuts the limit after a 429 to a call sent at that time."""
        with self._slot_freed:
            self._limit.on_throttle(sent_s, self._clock.now())
