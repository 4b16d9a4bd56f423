"""What happens in a worker: it opens a piece of work once, then does chunk after chunk of it."""

from __future__ import annotations

import gc
import pickle
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import PluginError, XaiaugError

PERIOD = 0.5  # seconds between two messages of one chunk


class Work(Protocol):
    """What is done with each chunk of a stage; pickled once, and opened in every worker."""

    def open(self) -> None:
        """Refuses a worker that cannot do it; called in other processes alone, before the first chunk."""

    def __call__(self, chunk: Any) -> Any:
        """The result of a chunk."""


@dataclass(frozen=True)
class Ready:
    """A worker can be given work.

    Attributes:
        where: name of its machine; empty where there is only this one.
    """

    where: str


@dataclass(frozen=True)
class Done:
    """A chunk was done."""

    result: Any


@dataclass(frozen=True)
class Raised:
    """A chunk, or opening the work, ended in an error."""

    error: BaseException


@dataclass(frozen=True)
class Message:
    """What work says of itself while it is done; see `Link.send`."""

    content: Any


@dataclass(frozen=True)
class Died:
    """A worker is gone."""

    reason: str


Event = Ready | Done | Raised | Message | Died


@dataclass(frozen=True)
class Link:
    """How work that is done in a worker reaches its run.

    Attributes:
        send: passes a message on to the run; it must be picklable.
        stopping: whether the run was asked to stop.
    """

    send: Callable[[Any], None]
    stopping: Callable[[], bool]


_links: list[Link] = []  # of this process: none, or that of its session


def find_link() -> Link:
    """The link of this worker.

    Raises:
        RuntimeError: this process is no worker.
    """
    if not _links:
        raise RuntimeError("this process is no worker")
    return _links[0]


class WorkerSession:
    """A worker's side of the work.

    Args:
        link: to the run; messages of one chunk are thinned out to one in `PERIOD` seconds.
        where: name of the machine, for errors; empty where there is only this one.
    """

    def __init__(self, link: Link, where: str) -> None:
        self._send, self._where = link.send, where
        self._work: Work | None = None
        self._sent = 0.0
        _links[:] = [Link(self._pass_on, link.stopping)]

    def do(self, work: bytes | None, chunk: bytes) -> bytes:
        """Does a chunk.

        Args:
            work: what is opened first; None where that was done before.
            chunk: pickled.

        Returns:
            `Done` or `Raised`, pickled.
        """
        try:
            if work is not None:
                self._open(work)
            return pickle.dumps(Done(self._call(pickle.loads(chunk))))  # noqa: S301  from the driver of this worker
        except BaseException as error:  # noqa: BLE001  raised again in the driver
            return _dump_error(self._place(error))

    def _open(self, payload: bytes) -> None:
        self._work = None
        gc.collect()  # what the last work held need not fit into memory beside this one
        try:
            work = pickle.loads(payload)  # noqa: S301
        except (ImportError, AttributeError) as error:
            where = f" on {self._where}" if self._where else ""
            raise PluginError(
                f"a worker{where} cannot import what it needs: {error}. Install the package there, in the same version "
                "as here; code of a script or a prompt has to move to a module"
            ) from error
        work.open()
        self._work = work

    def _call(self, chunk: Any) -> Any:
        assert self._work is not None  # noqa: S101  the first chunk comes with its work
        return self._work(chunk)

    def _pass_on(self, message: Any) -> None:
        now = time.monotonic()
        if now - self._sent >= PERIOD:
            self._sent = now
            self._send(message)

    def _place(self, error: BaseException) -> BaseException:
        """The error, which names the machine."""
        if self._where and isinstance(error, XaiaugError) and len(error.args) == 1 and self._where not in str(error):
            error.args = (f"{error} (on {self._where})",)
        return error


def _dump_error(error: BaseException) -> bytes:
    """The error with the worker's traceback as a note, for a traceback does not travel."""
    error.add_note("in a worker:\n" + "".join(traceback.format_exception(error)))
    try:
        data = pickle.dumps(Raised(error))
        pickle.loads(data)  # noqa: S301  an error may travel and not arrive
    except Exception:  # noqa: BLE001  of whatever it holds
        return pickle.dumps(Raised(PluginError(f"{type(error).__name__} in a worker: {error}")))
    return data
