"""How long a plugin may take for one chunk, and who is named when it takes longer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from ..errors import PluginError

NOTICE_S = 60.0  # after which whoever watches is told whom the run waits for; then after twice that, and so on


@dataclass(frozen=True)
class Patience:
    """How long plugins may take; None: for ever.

    Attributes:
        chunk_s: seconds for one chunk.
        training_s: seconds for one training.
        notice_s: seconds after which whoever watches is told.
    """

    chunk_s: float | None = None
    training_s: float | None = None
    notice_s: float = NOTICE_S


@dataclass(frozen=True)
class Limited:
    """Work on a chunk that raises PluginError when it has not ended in time; travels to a worker.

    What hangs is left behind in a thread of its own, for Python has no way to end it; it ends with the process.

    Attributes:
        work: makes the rows of a chunk.
        who: whose work it is, such as "Slow.critique".
        seconds: it may take.
        setting: that says so.
    """

    work: Callable[[list[Any]], list[Any]]
    who: str
    seconds: float
    setting: str

    def __call__(self, values: list[Any]) -> list[Any]:
        """The rows.

        Raises:
            PluginError: it did not end in time.
        """
        done: SimpleQueue[tuple[list[Any], BaseException | None]] = SimpleQueue()
        threading.Thread(target=self._do, args=(values, done), name=self.who, daemon=True).start()
        try:
            rows, error = done.get(timeout=self.seconds)
        except Empty:
            raise PluginError(
                f"{self.who} did not end within {self.seconds:g} s on {len(values)} items; what was finished before is "
                f"kept, and the same command goes on. For more time raise [limits] {self.setting}"
            ) from None
        if error is not None:
            raise error
        return rows

    def _do(self, values: list[Any], done: SimpleQueue[tuple[list[Any], BaseException | None]]) -> None:
        try:
            done.put((self.work(values), None))
        except BaseException as error:  # noqa: BLE001  raised again in the thread that waits
            done.put(([], error))


@contextmanager
def telling(who: str, seconds: float, tell: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Tells whom a run waits for when nothing was heard of a plugin for so long.

    Args:
        who: whose work it is.
        seconds: until it is told for the first time; the next time comes after twice as long.
        tell: is told, from another thread.

    Yields:
        What to call whenever something is heard.
    """
    heard, ended = threading.Event(), threading.Event()

    def wait() -> None:
        silent, patience = 0.0, seconds
        while not ended.is_set():
            if heard.wait(patience):
                heard.clear()
                silent, patience = 0.0, seconds
                continue
            silent, patience = silent + patience, patience * 2
            tell(f"still waiting for {who}, for {silent:.0f} s now")

    thread = threading.Thread(target=wait, name=f"waiting for {who}", daemon=True)
    thread.start()
    try:
        yield heard.set
    finally:
        ended.set()
        heard.set()
        thread.join()
