"""Guards the run against plugins: names the one that raised, hangs, or returns what the ledger cannot keep."""

from __future__ import annotations

import json
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any

from ..errors import PluginError, XaiaugError
from ..interfaces import Context, Plugin


@contextmanager
def blame_plugin(who: str) -> Iterator[None]:
    """Turns what a plugin raises, sys.exit included, into a PluginError that names it; an XaiaugError stays as it is.

    Args:
        who: whose work it is, such as "Slow.prepare".

    Raises:
        PluginError: anything but an XaiaugError was raised.
    """
    try:
        yield
    except XaiaugError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(f"{who} raised {describe_error(error)}") from error


def describe_error(error: BaseException) -> str:
    """Type, message and place of an error, on one line."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    place = "".join(f" ({Path(frame.filename).name}, line {frame.lineno})" for frame in last)
    return f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}{place}"


def check_plain(who: str, value: Any) -> Any:
    """The value, which the ledger can keep.

    Raises:
        PluginError: it is not JSON-plain.
    """
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        raise PluginError(f"{who} must return what is JSON-plain, text and plain numbers: {error}") from error
    return value


NOTICE_S = 60.0  # after which progress names the plugin that the run waits for; then after twice that, and so on


@dataclass(frozen=True)
class TimeLimits:
    """How long plugins may take; None: for ever.

    Attributes:
        chunk_s: seconds for one chunk.
        training_s: seconds for one training.
        notice_s: seconds after which progress names the plugin.
    """

    chunk_s: float | None = None
    training_s: float | None = None
    notice_s: float = NOTICE_S


@dataclass(frozen=True)
class WithTimeLimit:
    """Work on a chunk that raises PluginError when it has not ended in time; travels to a worker.

    What hangs is left behind in a thread of its own, for Python has no way to end it; it ends with the process.

    Attributes:
        work: makes the rows of a chunk.
        who: whose work it is, such as "Slow.critique".
        seconds: it may take.
        setting: that sets the limit.
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
                f"kept: rerun the same command to resume. For more time raise [limits] {self.setting}"
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
def notify_while_waiting(who: str, seconds: float, notify: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Names the plugin that a run waits for when it gave no sign for so long.

    Args:
        who: whose work it is.
        seconds: until the first notice; the next one comes after twice as long.
        notify: receives the notice, in another thread.

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
            notify(f"still waiting for {who}, for {silent:.0f} s now")

    thread = threading.Thread(target=wait, name=f"waiting for {who}", daemon=True)
    thread.start()
    try:
        yield heard.set
    finally:
        ended.set()
        heard.set()
        thread.join()


class PreparedOnce:
    """Prepares a plugin when it is first needed, whichever thread comes first.

    Args:
        plugin: not yet prepared.
        context: what it may know.
    """

    def __init__(self, plugin: Plugin, context: Context) -> None:
        self._plugin, self._context = plugin, context
        self._lock = Lock()
        self._done = False

    def __call__(self) -> None:
        """Returns when the plugin is ready."""
        with self._lock:
            if not self._done:
                with blame_plugin(f"{type(self._plugin).__name__}.prepare"):
                    self._plugin.prepare(self._context)
                self._done = True
