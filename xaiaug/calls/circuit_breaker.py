"""The end of all calls, told to every thread that waits."""

from __future__ import annotations

import threading
import time
from collections import deque

from ..errors import XaiaugError


class Clock:
    """The machine's own time; a simulated one may take its place."""

    def now(self) -> float:
        """Seconds that only ever grow, whatever happens to the date."""
        return time.monotonic()

    def condition(self) -> threading.Condition:
        """What threads wait on, with a limit by this clock."""
        return threading.Condition()


class CircuitBreaker:
    """Nothing is sent once an error was told: waiting threads wake up and raise it.

    Args:
        clock: what waiting is measured by.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._error: XaiaugError | None = None
        self._conditions: list[threading.Condition] = []
        self._told = self.condition()

    def condition(self) -> threading.Condition:
        """A condition whose waiters are woken by the halt; they must then `check`."""
        made = self._clock.condition()
        self._conditions.append(made)
        return made

    def stop(self, error: XaiaugError) -> None:
        """Tells the error to everybody; the first one stands."""
        self._error = self._error or error
        for condition in self._conditions:
            with condition:
                condition.notify_all()

    def check(self) -> None:
        """Raises the error when there is one: a copy, since a traceback belongs to one thread."""
        if self._error is not None:
            raise type(self._error)(*self._error.args)

    def sleep(self, seconds: float) -> None:
        """Waits, or raises as soon as there is an error."""
        until = self._clock.now() + seconds
        with self._told:
            while self._error is None and (left := until - self._clock.now()) > 0:
                self._told.wait(left)
        self.check()


LAST = 50
MOST = 0.2


class FailureShare:
    """Remembers how the last items went."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: deque[tuple[str, bool]] = deque(maxlen=LAST)

    def count(self, key: str, *, failed: bool) -> None:
        """An item is done; told again, the newer word stands."""
        with self._lock:
            found = next((place for place, (known, _) in enumerate(self._last) if known == key), None)
            if found is None:
                self._last.append((key, failed))
            else:
                self._last[found] = (key, failed)

    @property
    def failed(self) -> int:
        """How many of them failed."""
        with self._lock:
            return sum(failed for _, failed in self._last)

    @property
    def too_many(self) -> bool:
        """Whether more than a fifth of the last fifty failed; fewer items are given as many failures."""
        return self.failed > MOST * LAST
