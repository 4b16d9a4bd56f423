"""Lets calls through: one at a time for a key, and no more at once than the limit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .clock import Clock
from .halt import Halt
from .limit import Limit


class Gate:
    """Where threads wait until they may call.

    A call keeps its place while it waits to be sent again: a service that asks everybody to wait is not asked by
    others meanwhile.

    Args:
        limit: how many may be through at once.
        halt: ends all waiting.
        clock: the time.
    """

    def __init__(self, limit: Limit, halt: Halt, clock: Clock) -> None:
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
