"""One session of a run: its progress, in status.json too, and how it is stopped."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from ..errors import WaitingForReview
from ..records import Progress
from ..store import Store
from ..store.schema import SESSIONS, SessionFact

PERIOD = 1.0  # seconds between two writes of status.json
COUNT_REBUILT = "status.json was missing or damaged: its count of paid calls is taken from the ledger"


class RunStatus:
    """Progress of one session, and the record of all sessions.

    Args:
        store: the run folder.
        watch: receives the progress; None: nothing does.
    """

    def __init__(self, store: Store, watch: Callable[[Progress], None] | None) -> None:
        self._store = store
        self._watch = watch
        self._written = 0.0

    def watch(self, progress: Progress) -> None:
        """Passes progress on; writes status.json once in a while."""
        if self._watch:
            self._watch(progress)
        now = time.monotonic()
        if now - self._written >= PERIOD:
            self._written = now
            self._write("running", progress)

    @contextmanager
    def session(self) -> Iterator[None]:
        """One session, from start to end, kept in the ledger."""
        sessions = self._store.ledger.get_fact(SESSIONS) or []
        started, clock = _now(), time.monotonic()
        state = "stopped"
        try:
            self._write("running", None)
            if self._store.lacks_count and self._watch:
                self._watch(Progress("run folder", 1, 1, COUNT_REBUILT))
            yield
            state = "finished"
        except WaitingForReview:
            state = "waiting for review"
            raise
        finally:
            seconds = round(time.monotonic() - clock, 3)
            entry = SessionFact(started=started, ended=_now(), seconds=seconds, state=state)
            self._store.ledger.set_fact(SESSIONS, [*sessions, entry])
            self._write(state, None)
            self._store.checkpoint()

    def _write(self, state: str, progress: Progress | None) -> None:
        step = {} if progress is None else {"stage": progress.stage, "done": progress.done, "total": progress.total}
        note = {"note": progress.note} if progress is not None and progress.note else {}
        self._store.write_status({"state": state, "at": _now(), **step, **note})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM") if hasattr(signal, name))


class StopRequest:
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
def stop_on_signals() -> Iterator[StopRequest]:
    """Lets Ctrl-C and SIGTERM stop a run: the first between two chunks, the second at once by KeyboardInterrupt.

    Handlers are set in the main thread alone, where Python allows it, and put back afterwards.
    """
    stop = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before: dict[int, Any] = {number: signal.signal(number, lambda *_: stop.ask()) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
