"""The circuit breaker: ends all paid calls at once, for instance when too many items fail."""

from __future__ import annotations

import threading
import time
from collections import deque

from ..errors import XaiaugError

WINDOW = 50  # items
MAX_FAILED_SHARE = 0.2


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
        """Whether more than a fifth of a full window failed; a shorter history may have as many failures."""
        return self.failures > MAX_FAILED_SHARE * WINDOW
