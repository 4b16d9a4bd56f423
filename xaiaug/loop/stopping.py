"""Stops a run between two chunks when asked once, and at once when asked twice."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM") if hasattr(signal, name))


class Stop:
    """Whether the run was asked to stop."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._then: list[Callable[[], None]] = []

    def __call__(self) -> bool:
        return self._asked.is_set()

    def then(self, do: Callable[[], None]) -> None:
        """Does this, too, when the run is asked to stop; in a thread of its own, since the signal came anywhere."""
        self._then.append(do)

    def ask(self) -> None:
        """Asks the run to stop; asked again, raises KeyboardInterrupt."""
        if self._asked.is_set():
            raise KeyboardInterrupt
        self._asked.set()
        for do in self._then:
            threading.Thread(target=do, name="stop", daemon=True).start()


@contextmanager
def stopping() -> Iterator[Stop]:
    """Lets Ctrl-C and SIGTERM stop a run: the first between two chunks, the second at once by KeyboardInterrupt.

    Handlers are set in the main thread alone, where Python allows it, and put back afterwards.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before: dict[int, Any] = {number: signal.signal(number, lambda *_: stop.ask()) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
