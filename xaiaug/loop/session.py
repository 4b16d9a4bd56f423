"""One session of a run: its progress, in status.json too, and how it is stopped."""

from __future__ import annotations

import _thread
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ..errors import WaitingForReview
from ..records import Progress
from ..store import Store
from ..store.schema import SESSIONS, SessionFact

PERIOD = 1.0  # seconds between two writes of status.json
STOPPING = "stopping after this step; press Ctrl-C again to stop now"
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
        self._last = Progress("begin", 0, 1)
        self._state = "running"

    def announce_stop(self) -> None:
        """Answers the request to stop at once, in whatever thread: to `watch`, or else on standard error."""
        self._state = "stopping"
        if self._watch:
            self._watch(replace(self._last, note=STOPPING))
        else:
            sys.stderr.write(f"{STOPPING}\n")
            sys.stderr.flush()

    def watch(self, progress: Progress) -> None:
        """Passes progress on; writes status.json once in a while."""
        self._last = progress
        if self._watch:
            self._watch(progress)
        now = time.monotonic()
        if now - self._written >= PERIOD:
            self._written = now
            self._write(self._state, progress)

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
        workers = {"workers": list(progress.workers)} if progress is not None and progress.workers else {}
        self._store.write_status({"state": state, "at": _now(), **step, **note, **workers})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM") if hasattr(signal, name))
AGAIN = 2  # signals, from which on a run stops at once
PATIENCE = 0.1  # seconds that the main thread has to raise, before it is called again


class StopRequest:
    """Whether the run was asked to stop, and how often: signals are counted as they arrive.

    Python calls a handler between two steps of the main thread alone: late where that is busy, once for all signals
    that came meanwhile, and not at all while that thread waits and the system gave the signal to another one. The
    interpreter also writes each to a socket; a thread reads it, answers at once, and calls a waiting main thread.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._then: list[Callable[[], None]] = []
        self._count = self._raised_at = 0
        self._counting = threading.RLock()  # a handler may interrupt another one

    def __call__(self) -> bool:
        return self._asked.is_set()

    def then(self, do: Callable[[], None]) -> None:
        """Does this, too, when the run is first asked to stop, in a thread of its own: the signal came anywhere."""
        self._then.append(do)

    @contextmanager
    def listen(self) -> Iterator[int]:
        """Listens for signals; yields the descriptor that they are to be written to."""
        self._inbox, self._outbox = socket.socketpair()
        with self._inbox, self._outbox:
            self._inbox.setblocking(False)
            self._outbox.setblocking(False)
            listener = threading.Thread(target=self._answer, name="stop", daemon=True)
            listener.start()
            try:
                yield self._outbox.fileno()
            finally:
                self._outbox.shutdown(socket.SHUT_WR)
                listener.join()

    def handle(self) -> None:
        """Handles a signal in the main thread.

        Raises:
            KeyboardInterrupt: it is the second one, or a later one.
        """
        with self._counting:
            self._receive()
            self._outbox.send(b"\0")  # the listener may have been about to wait for what has just been received
            if self._is_owed:
                self._raised_at = self._count
                raise KeyboardInterrupt

    @property
    def _is_owed(self) -> bool:
        return self._count >= AGAIN and self._count > self._raised_at

    def _answer(self) -> None:
        answered = False
        while self._receive():
            if self._asked.is_set() and not answered:
                answered = True
                for do in self._then:
                    do()
            if not select.select([self._inbox], [], [], PATIENCE if self._is_owed else None)[0]:
                self._call_main_thread()

    def _call_main_thread(self) -> None:
        with self._counting:
            if self._is_owed:
                _thread_signal(threading.main_thread())

    def _receive(self) -> bool:
        """Counts the signals that have arrived; False once no more can."""
        with self._counting:
            try:
                arrived = self._inbox.recv(64)
            except BlockingIOError:
                return True
            if not self._is_owed:  # what comes while the main thread has yet to raise is one request with that
                self._count += sum(number in SIGNALS for number in arrived)
            if self._count:
                self._asked.set()
            return bool(arrived)


def _thread_signal(thread: threading.Thread) -> None:
    if hasattr(signal, "pthread_kill") and thread.ident is not None:
        signal.pthread_kill(thread.ident, signal.SIGINT)
    else:
        _thread.interrupt_main()  # Windows wakes no waiting thread


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Lets Ctrl-C and SIGTERM stop a run: the first at the next safe point, the second at once by KeyboardInterrupt.

    Handlers are set in the main thread alone, where Python allows it, and put back afterwards.
    """
    stop = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    with stop.listen() as descriptor:
        before: dict[int, Any] = {number: signal.signal(number, lambda *_: stop.handle()) for number in SIGNALS}
        written_to = signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)
        try:
            yield stop
        finally:
            signal.set_wakeup_fd(written_to)
            for number, handler in before.items():
                signal.signal(number, handler)
