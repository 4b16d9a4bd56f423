"""The circuit breaker: ends all paid calls at once, for instance when too many items fail."""

from __future__ import annotations

import threading
import time
from collections import deque

from ..errors import CallError, XaiaugError

WINDOW = 50  # items
MAX_FAILED_SHARE = 0.2
FIRST = 10  # items: when all of the first ones fail, no more are tried
OUTAGE = 24  # attempts in a row without an answer
OUTAGE_A_CALL = 3  # such attempts for each call in flight, if that is more
BUSY = {408, 425, 429, 502, 503, 504, 520, 522, 524, 529}  # statuses of a service that will be back
# Seconds without an answer before such a service is given up: at the start, later, and where it limits the rate.
FIRST_PATIENCE_S, PATIENCE_S, RATE_PATIENCE_S = 30.0, 60.0, 600.0
TIME_OUTS, LATER_TIME_OUTS = 3, 8  # in a row: before the first answer, and later


class Clock:
    """The system clock; tests may pass a simulated one."""

    def now(self) -> float:
        """Seconds on a clock that never goes back, even when the date is changed."""
        return time.monotonic()

    def condition(self) -> threading.Condition:
        """A condition whose time-outs follow this clock."""
        return threading.Condition()


class CircuitBreaker:
    """Once tripped, nothing more is sent: waiting threads wake up and raise the error.

    Args:
        clock: measures waiting.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._error: XaiaugError | None = None
        self._conditions: list[threading.Condition] = []
        self._tripped = self.condition()

    def condition(self) -> threading.Condition:
        """A condition whose waiters `trip` wakes; they must then call `check`."""
        condition = self._clock.condition()
        self._conditions.append(condition)
        return condition

    def trip(self, error: XaiaugError) -> None:
        """Raises the error in every thread that checks or waits; the first error is kept."""
        self._error = self._error or error
        for condition in self._conditions:
            with condition:
                condition.notify_all()

    def check(self) -> None:
        """Raises the error, if any: a copy, since a traceback belongs to one thread."""
        if self._error is not None:
            raise type(self._error)(*self._error.args)

    def sleep(self, seconds: float) -> None:
        """Waits, or raises as soon as there is an error."""
        until = self._clock.now() + seconds
        with self._tripped:
            while self._error is None and (left := until - self._clock.now()) > 0:
                self._tripped.wait(left)
        self.check()


class FailureWindow:
    """Which of the last `WINDOW` items failed; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._items: deque[tuple[str, bool]] = deque(maxlen=WINDOW)

    def record(self, key: str, *, failed: bool) -> None:
        """Records the outcome of an item; a later outcome of the same item replaces the earlier one."""
        with self._lock:
            place = next((place for place, (known, _) in enumerate(self._items) if known == key), None)
            if place is None:
                self._items.append((key, failed))
            else:
                self._items[place] = (key, failed)

    @property
    def failures(self) -> int:
        """How many of these items failed."""
        with self._lock:
            return sum(failed for _, failed in self._items)

    @property
    def too_many(self) -> bool:
        """Whether more than a fifth of a full window failed, or all of the first items."""
        return self.failures > MAX_FAILED_SHARE * WINDOW or self.all_first

    @property
    def all_first(self) -> bool:
        """Whether no item succeeded yet, though enough were tried."""
        with self._lock:
            return len(self._items) >= FIRST and all(failed for _, failed in self._items)


class OutageDetector:
    """Tells when a service no longer answers: attempts of all calls fail in a row; threads may share it.

    Args:
        clock: the time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._answered = False
        self._failed = self._timed_out = 0
        self._since_s = clock.now()

    @property
    def failed(self) -> int:
        """Attempts that failed since the last answer."""
        return self._failed

    def on_answer(self) -> None:
        """The service answered an attempt, or turned it down: it is there."""
        with self._lock:
            self._answered = True
            self._failed = self._timed_out = 0

    def on_failure(self, error: CallError, in_flight: int) -> bool:
        """Counts a failed attempt; returns whether the service is out."""
        with self._lock:
            if not self._failed:
                self._since_s = self._clock.now()
            self._failed += 1
            self._timed_out += error.timed_out
            if error.timed_out:
                return self._timed_out >= (max(LATER_TIME_OUTS, in_flight) if self._answered else TIME_OUTS)
            enough = self._failed >= max(OUTAGE, OUTAGE_A_CALL * in_flight)
            return enough and self._clock.now() - self._since_s >= self._patience_s(error)

    def _patience_s(self, error: CallError) -> float:
        if error.status == 429:
            return RATE_PATIENCE_S
        if error.status in BUSY or (error.status is None and self._answered):
            return PATIENCE_S if self._answered else FIRST_PATIENCE_S
        return 0.0
