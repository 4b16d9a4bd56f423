"""The end of all calls, told to every thread that waits."""

from __future__ import annotations

import threading

from ..errors import XaiaugError
from .clock import Clock


class Halt:
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
