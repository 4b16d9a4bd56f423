"""Runs chunks in several processes of this machine; where it has several GPUs, each process has one of its own."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any

from ..errors import ConfigError
from .engine_options import EngineOptions
from .pool import WorkerPool
from .worker import Died, Event, Link, Message, Ready, Work, WorkerSession

_STOP = "stop"
# Not multiprocessing: it would run the user's script once more in every worker.
_SCRIPT = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from xaiaug.engines.processes import serve; serve()"
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_VISIBLE = "CUDA_VISIBLE_DEVICES"


class ProcessEngine(WorkerPool):
    """Processes of this machine, each with its share of the cores and, where there are several GPUs, with one of them.

    Work whose kind has one worker is done in this process.

    Args:
        options: workers, by kind of work.
    """

    def __init__(self, options: EngineOptions) -> None:
        super().__init__(options)
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._events: SimpleQueue[tuple[int, Event]] = SimpleQueue()
        self._places: dict[int, int] = {}  # a worker that follows another one takes its place, and so its GPU

    def check(self, what: str, value: object) -> None:
        """As of `WorkerPool`; a class of a script or a prompt cannot be imported by another process."""
        kind = type(value)
        if kind.__module__ == "__main__":
            raise ConfigError(
                f"{what} cannot travel to another process: its class {kind.__qualname__} was written in a script or at "
                "a prompt, where no other process can import it. Move the class to a module, such as a file beside the "
                'script, or take engine = "local" with workers = 1, or engine = "ray", which sends the code along'
            )
        super().check(what, value)

    def map(self, work: Work, chunks: Iterable[Any], *, kind: str = "", **options: Any) -> Iterator[tuple[int, Any]]:
        """As of `WorkerPool`."""
        if self.count_workers(kind) > 1:
            return super().map(work, chunks, kind=kind, **options)
        self._end_workers()
        return enumerate(map(work, chunks))

    def _start(self, number: int) -> None:
        place = self._places[number] = min({*range(self._most)} - {*self._places.values()})
        process = self._processes[number] = subprocess.Popen(  # noqa: S603  our own interpreter
            [sys.executable, "-c", _SCRIPT, json.dumps([str(Path(path).resolve()) for path in sys.path])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_make_environment(os.environ, place, self._most, _list_gpus()),
        )
        threading.Thread(target=self._listen, args=(number, process), name=f"worker {number}", daemon=True).start()

    def _listen(self, number: int, process: subprocess.Popen[bytes]) -> None:
        """Passes on what a worker says, until it ends."""
        assert process.stdout is not None  # noqa: S101  a pipe
        with process.stdout as stream, suppress(EOFError, pickle.UnpicklingError):
            while True:
                self._events.put((number, pickle.load(stream)))  # noqa: S301  of our own process
        self._events.put((number, Died(_describe_end(process.wait()))))

    def _send(self, number: int, work: bytes | None, chunk: bytes) -> None:
        _write(self._processes[number], (work, chunk))

    def _ask_to_stop(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            _write(self._processes[number], _STOP)

    def _wait(self, seconds: float) -> list[tuple[int, Event]]:
        events: list[tuple[int, Event]] = []
        with suppress(Empty):
            events.append(self._events.get(timeout=seconds))
            while True:
                events.append(self._events.get_nowait())
        for number, event in events:
            if isinstance(event, Died) and number in self._processes:
                self._forget(number)
        return [(number, event) for number, event in events if number in self._workers]

    def _kill(self, number: int) -> None:
        if number in self._processes:
            process = self._forget(number)
            process.kill()
            process.wait()

    def _forget(self, number: int) -> subprocess.Popen[bytes]:
        del self._places[number]
        process = self._processes.pop(number)
        with suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        return process


def _write(process: subprocess.Popen[bytes], message: object) -> None:
    with suppress(OSError):  # a worker that is gone says so by the end of its stream
        assert process.stdin is not None  # noqa: S101  a pipe
        pickle.dump(message, process.stdin)
        process.stdin.flush()


def _make_environment(base: Mapping[str, str], place: int, workers: int, gpus: list[str]) -> dict[str, str]:
    """The environment of a worker: a share of the cores unless the user has set one, and one of several GPUs."""
    share = str(max(1, (os.cpu_count() or 1) // workers))
    environment = {**dict.fromkeys(_THREADS, share), **base}
    if len(gpus) > 1:
        environment[_VISIBLE] = gpus[place % len(gpus)]
    return environment


def _list_gpus() -> list[str]:
    """The GPUs of this process, as CUDA_VISIBLE_DEVICES names them."""
    if (visible := os.environ.get(_VISIBLE)) is not None:
        return [name for name in visible.split(",") if name.strip()]
    if sys.platform == "linux" and not any(Path("/dev", name).exists() for name in ("nvidiactl", "kfd")):
        return []  # without importing torch, which takes seconds
    if find_spec("torch") is None:
        return []
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


def _describe_end(code: int) -> str:
    if code >= 0:
        return f"its process ended with status {code}"
    with suppress(ValueError):
        return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process was ended by signal {-code}"


def serve() -> None:
    """Works until the driver is gone; its requests come on standard input, answers go to standard output."""
    inbox, outbox = _take_streams()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the driver decides
    requests: SimpleQueue[tuple[bytes | None, bytes]] = SimpleQueue()
    stop, lock = threading.Event(), threading.Lock()

    def send(data: bytes) -> None:
        with lock:
            outbox.write(data)
            outbox.flush()

    link = Link(lambda message: send(pickle.dumps(Message(message))), stop.is_set)
    session = WorkerSession(link, "")
    threading.Thread(target=_read, args=(inbox, requests, stop), daemon=True).start()
    send(pickle.dumps(Ready("")))
    while True:
        send(session.do(*requests.get()))


def _take_streams() -> tuple[IO[bytes], IO[bytes]]:
    """The streams of requests and answers; what plugins print goes to standard error, and they read nothing."""
    inbox, outbox = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    return inbox, outbox


def _read(inbox: IO[bytes], requests: SimpleQueue[Any], stop: threading.Event) -> None:
    with suppress(EOFError, OSError, pickle.UnpicklingError):
        while True:
            request = pickle.load(inbox)  # noqa: S301  of the driver
            if request == _STOP:
                stop.set()
            else:
                requests.put(request)
    os._exit(0)  # the driver is gone: whatever is being done is nobody's
