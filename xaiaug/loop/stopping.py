"""Stops a run between two chunks when asked once, and at once when asked twice."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM") if hasattr(signal, name))


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Whether the run was asked to stop; asked again, it raises KeyboardInterrupt where it stands.

    Handlers are set in the main thread alone, where Python allows it, and put back afterwards.
    """
    asked = threading.Event()

    def handle(*_: Any) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before: dict[int, Any] = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
