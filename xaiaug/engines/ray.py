"""Runs chunks in actors of Ray: on the cores and GPUs of one machine, or of a cluster."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import ConfigError, MissingExtraError
from .engine_options import EngineOptions, Resources
from .pool import WorkerPool
from .worker import Died, Event, Link, Message, Ready, WorkerSession

CONTROL = "control"
POLL_S = 1.0  # seconds between two questions for the messages of the actors that are at work
_NO_REPORTS = {"RAY_USAGE_STATS_ENABLED": "0"}  # Ray would tell its makers of every cluster it starts


class RayEngine(WorkerPool):
    """Actors of Ray, one a worker.

    A cluster that is there is used: the one this process is connected to, that of `address`, or that of the
    environment variable RAY_ADDRESS. Else one is started on this machine, and stopped when the engine is closed.

    Args:
        options: address, and by kind of work the number of workers and their resources; without a number there are as
            many as the cluster's cores, or its GPUs where workers need them, allow.

    Raises:
        MissingExtraError: Ray is not installed.
    """

    def __init__(self, options: EngineOptions) -> None:
        if find_spec("ray") is None:
            raise MissingExtraError('engine = "ray" needs Ray: pip install "xaiaug[ray]"')
        super().__init__(options)
        self._owns = False
        self._actors: dict[int, Any] = {}
        self._calls: dict[Any, int] = {}  # what is waited for, and whose it is
        self._asked: dict[Any, int] = {}  # likewise of questions for messages
        self._asked_at = 0.0
        self._stored: tuple[bytes | None, Any] = (None, None)  # the work, and where Ray keeps it

    def count_workers(self, kind: str = "") -> int:
        """Chunks of a kind of work that are done at once: as many as were asked for, or as fit into the cluster.

        Raises:
            ConfigError: not one does.
        """
        resources = self._options.resources_of(kind)
        if resources.workers is not None:
            return resources.workers
        self._connect()
        return _count_places(resources, kind)

    def map(self, *arguments: Any, **options: Any) -> Iterator[tuple[int, Any]]:
        """As of `WorkerPool`."""
        self._connect()
        return super().map(*arguments, **options)

    def close(self) -> None:
        """Ends the actors, and Ray itself where it was started here."""
        super().close()
        self._stored = (None, None)
        if self._owns:
            ray = _import_ray()
            ray.shutdown()
            self._owns = False

    def _connect(self) -> None:
        ray = _import_ray()
        if ray.is_initialized():
            return
        # "local", not None: Ray would try to reach the last cluster that was started on this machine.
        address = self._options.address or os.environ.get("RAY_ADDRESS") or "local"
        os.environ.update({name: os.environ.get(name, value) for name, value in _NO_REPORTS.items()})
        with _keep_signal_handlers():
            try:
                ray.init(address=address, **({"include_dashboard": False} if address == "local" else {}))
            except Exception as error:  # Ray raises bare ones, too
                raise ConfigError(
                    f"[engine] address = {address!r}: no Ray cluster can be reached or started there: {error}. Start "
                    "one with `ray start --head`, or leave address out to have one started on this machine"
                ) from error
        self._owns = True

    def _dump(self, value: object) -> bytes:
        data: bytes = _import_ray().cloudpickle.dumps(value)
        return data

    def _start(self, number: int) -> None:
        ray = _import_ray()
        resources = self._resources
        actor = ray.remote(
            num_cpus=resources.num_cpus,
            num_gpus=resources.num_gpus,
            memory=None if resources.memory_gb is None else int(resources.memory_gb * 2**30),
            max_restarts=0,
            concurrency_groups={CONTROL: 1},
        )(RayWorker)
        path = [str(Path(folder).resolve()) for folder in sys.path]
        self._actors[number] = actor.remote(Path.cwd(), path, dict(self._options.environment))
        self._calls[self._actors[number].get_ready.remote()] = number

    def _send(self, number: int, work: bytes | None, chunk: bytes) -> None:
        ray = _import_ray()
        if work is not None and work is not self._stored[0]:
            self._stored = (work, ray.put(work))  # once for all actors
        given = None if work is None else self._stored[1]
        # Put into the store, which lets go of it, and not into the call: the driver keeps descriptions of calls.
        self._calls[self._actors[number].do.remote(given, ray.put(chunk))] = number

    def _ask_to_stop(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._actors[number].stop.options(concurrency_group=CONTROL).remote()

    def _wait(self, seconds: float) -> list[tuple[int, Event]]:
        ray = _import_ray()
        self._ask_for_messages()
        ready, _ = ray.wait([*self._calls, *self._asked], num_returns=1, timeout=seconds)
        events: list[tuple[int, Event]] = []
        for call in ready:
            if call in self._asked:
                events += self._read_messages(call)
            else:
                number = self._calls.pop(call)
                events.append((number, self._read_answer(number, call)))
        return events

    def _read_answer(self, number: int, call: Any) -> Event:
        ray = _import_ray()
        try:
            event: Event = pickle.loads(ray.get(call))  # noqa: S301  of our own actor
        except ray.exceptions.RayError as error:
            self._forget(number)
            return Died(" ".join(str(error).split())[:600])
        return event

    def _ask_for_messages(self) -> None:
        """Asks the actors that are at work what their work says, once in a while."""
        now = time.monotonic()
        if self._asked or now - self._asked_at < POLL_S:
            return
        self._asked_at = now
        for number in [worker.number for worker in self._busy]:
            self._asked[self._actors[number].take_message.options(concurrency_group=CONTROL).remote()] = number

    def _read_messages(self, call: Any) -> list[tuple[int, Event]]:
        ray = _import_ray()
        number = self._asked.pop(call)
        with contextlib.suppress(ray.exceptions.RayError):  # the chunk tells that its worker died
            messages = ray.get(call)
            return [(number, Message(messages[-1]))] if messages and number in self._workers else []
        return []

    def _kill(self, number: int) -> None:
        ray = _import_ray()
        if number in self._actors:
            actor = self._actors[number]
            self._forget(number)
            ray.kill(actor)

    def _forget(self, number: int) -> None:
        del self._actors[number]
        for calls in (self._calls, self._asked):
            for call in [call for call, whose in calls.items() if whose == number]:
                del calls[call]


class RayWorker:
    """An actor: a worker's session, and beside it a thread that takes stops and gives messages.

    Args:
        folder: where the driver works; paths may be relative to it.
        path: where the driver finds modules; where these folders are there too, so does the actor.
        environment: variables that are set before anything of the work is imported.
    """

    def __init__(self, folder: Path, path: list[str], environment: dict[str, str]) -> None:
        ray = _import_ray()
        os.environ.update(environment)
        sys.path += [place for place in path if place not in sys.path]
        with contextlib.suppress(OSError):  # on another machine there may be no such folder
            os.chdir(folder)
        context = ray.get_runtime_context()
        self._where = f"node {ray.util.get_node_ip_address()} ({context.get_node_id()[:12]})"
        self._stop, self._messages = threading.Event(), [None]
        self._session = WorkerSession(Link(self._keep, self._stop.is_set), self._where)

    def get_ready(self) -> bytes:
        """Tells that the actor is there, and where."""
        return pickle.dumps(Ready(self._where))

    def do(self, work: bytes | None, chunk: bytes) -> bytes:
        """As of `WorkerSession`."""
        return self._session.do(work, chunk)

    def stop(self) -> None:
        """Tells the work that the run was asked to stop."""
        self._stop.set()

    def take_message(self) -> list[Any]:
        """The last message of the work since this was asked, if there is one."""
        message, self._messages[0] = self._messages[0], None
        return [] if message is None else [message]

    def _keep(self, message: Any) -> None:
        self._messages[0] = message


def _import_ray() -> Any:
    return import_module("ray")


def _count_places(resources: Resources, kind: str) -> int:
    """How many workers of such resources fit into the cluster as it is.

    Raises:
        ConfigError: not one does.
    """
    have, needs = _import_ray().cluster_resources(), {"CPU": resources.num_cpus, "GPU": resources.num_gpus}
    count = min(int(have.get(name, 0.0) // amount) for name, amount in needs.items() if amount)
    if not count:
        asked = ", ".join(f"{amount:g} {name}" for name, amount in needs.items() if amount)
        found = ", ".join(f"{have.get(name, 0.0):g} {name}" for name in needs)
        raise ConfigError(
            f"[engine{kind and '.'}{kind}] a worker is to have {asked}, and the Ray cluster has {found} in all. Ask "
            "for less by num_cpus and num_gpus, or, where the cluster grows by itself, say how many workers it is to "
            "grow to"
        )
    return count


@contextmanager
def _keep_signal_handlers() -> Iterator[None]:
    """Leaves the handlers of this process as they are: Ray sets one of its own for SIGTERM."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
