"""Maps chunks over workers in other processes: so many at once, and a chunk whose worker died goes to another."""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import ConfigError, XaiaugError
from .engine_options import EngineOptions
from .worker import Died, Event, Message, Raised, Ready, Work

MOST_DEATHS = 3  # of workers that did the same chunk
PATIENCE = 0.5  # seconds until the pool looks again whether the run was asked to stop
Watch = Callable[[Mapping[str, tuple[int, Any]]], None]


class WorkerDiedError(Exception):
    """Every worker that was given a chunk died.

    Attributes:
        position: of the chunk.
        reason: how the last one ended.
    """

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(position, reason)
        self.position, self.reason = position, reason


@dataclass
class _Task:
    """A chunk on its way."""

    position: int
    chunk: bytes
    deaths: int = 0


@dataclass
class _Worker:
    """What the pool knows of a worker."""

    number: int
    where: str = ""
    ready: bool = False
    work: int = 0  # number of the work that it has opened
    task: _Task | None = None
    message: Any = None

    @property
    def name(self) -> str:
        """As progress calls it."""
        return f"worker {self.number}" + (f" on {self.where}" if self.where else "")


@dataclass
class _Round:
    """One call of `map`."""

    payload: bytes
    tasks: Iterator[_Task]
    waiting: deque[_Task] = field(default_factory=deque)
    error: BaseException | None = None


class WorkerPool(ABC):
    """Workers that are started when they are first needed, and kept until work needs others, or the engine is closed.

    All workers that are there have the same resources: where the next work is of a kind that has others, they end, for
    idle workers keep their cores, GPUs and memory, and those to come could wait for them for ever.

    No more chunks are on their way than there are workers, and none is taken before a result was asked for, so what is
    on its way does not grow with the run.

    Args:
        options: what workers have, by kind of work.
    """

    def __init__(self, options: EngineOptions) -> None:
        self._options = options
        self._resources = options.resources_of("")  # of the workers that are there
        self._most = 0  # of them at once
        self._workers: dict[int, _Worker] = {}
        self._count = self._work = 0

    def count_workers(self, kind: str = "") -> int:
        """Chunks of a kind of work that are done at once."""
        return self._options.resources_of(kind).workers or 1

    def check(self, what: str, value: object) -> None:
        """Refuses what cannot travel to a worker.

        Args:
            what: to call it.
            value: such as a plugin.

        Raises:
            ConfigError: it cannot be pickled, or not be opened elsewhere.
        """
        try:
            self._dump(value)
        except Exception as error:
            raise ConfigError(
                f"{what} cannot travel to the workers of this engine: {error}. Give it by a name that workers can "
                'import, or run it here: engine = "local" with workers = 1'
            ) from error

    def map(
        self,
        work: Work,
        chunks: Iterable[Any],
        *,
        kind: str = "",
        stopping: Callable[[], bool] = bool,
        watch: Watch | None = None,
    ) -> Iterator[tuple[int, Any]]:
        """Position and result of each chunk, in the order of completion.

        After an error no further chunk begins; those on their way are finished and yielded, then the first error is
        raised. Workers that are at work when the iterator is closed are killed.

        Args:
            work: what is done; opened once in each worker.
            chunks: taken one by one as workers become free.
            kind: of work; decides which resources the workers have.
            stopping: whether the run was asked to stop; the work is then told so.
            watch: receives, by the name of each worker, the position of its chunk and its last message.

        Raises:
            WorkerDiedError: three workers died on one chunk.
            ConfigError: the work or a chunk cannot travel.
        """
        self._work += 1
        self._prepare_for(kind)
        tasks = (_Task(position, self._dump_or_refuse(chunk)) for position, chunk in enumerate(chunks))
        now = _Round(self._dump_or_refuse(work), tasks)
        told = False
        try:
            while self._hand_out(now):
                results = []
                for number, event in self._wait(PATIENCE):
                    results += self._take(now, self._workers[number], event)
                if stopping():
                    now.waiting.clear()
                    now.tasks = iter(())
                    if not told:
                        told = True
                        self._ask_to_stop([worker.number for worker in self._busy])
                self._hand_out(now)
                if watch is not None:
                    watch({one.name: (one.task.position, one.message) for one in self._busy if one.task is not None})
                yield from results
        finally:
            # What is still at work is nobody's by now, and who was told to stop would go on stopping.
            for worker in [*self._workers.values()] if told else self._busy:
                self._drop(worker)
        if now.error is not None:
            raise now.error

    def close(self) -> None:
        """Ends the workers."""
        self._end_workers()

    def _prepare_for(self, kind: str) -> None:
        resources = self._options.resources_of(kind)
        if resources != self._resources:
            self._end_workers()
        self._resources, self._most = resources, self.count_workers(kind)

    def _end_workers(self) -> None:
        for number in self._workers:
            self._kill(number)
        self._workers.clear()

    def _hand_out(self, now: _Round) -> bool:
        """Gives chunks to idle workers, and starts some where there are too few; whether anything is on its way."""
        while now.error is None and len(now.waiting) + len(self._busy) < self._most:
            try:
                task = next(now.tasks, None)
            except BaseException as error:  # noqa: BLE001  raised when the chunks on their way are done
                now.error = error
                break
            if task is None:
                break
            now.waiting.append(task)
        if now.error is not None:
            now.waiting.clear()
        idle = [worker for worker in self._workers.values() if worker.ready and worker.task is None]
        for worker in idle:
            if now.waiting:
                self._give(now, worker, now.waiting.popleft())
        starting = sum(not worker.ready for worker in self._workers.values())
        for _ in range(min(len(now.waiting) - starting, self._most - len(self._workers))):
            self._count += 1
            self._workers[self._count] = _Worker(self._count)
            self._start(self._count)
        return bool(now.waiting or self._busy)

    def _give(self, now: _Round, worker: _Worker, task: _Task) -> None:
        worker.task, worker.message = task, None
        payload = None if worker.work == self._work else now.payload
        worker.work = self._work
        self._send(worker.number, payload, task.chunk)

    def _take(self, now: _Round, worker: _Worker, event: Event) -> list[tuple[int, Any]]:
        """Takes note of what happened in a worker; gives the result, where it is one."""
        if isinstance(event, Ready):
            worker.ready, worker.where = True, event.where
        elif isinstance(event, Message):
            worker.message = event.content
        elif isinstance(event, Died):
            self._bury(now, worker, event.reason)
        else:
            task, worker.task = worker.task, None
            if isinstance(event, Raised):
                worker.work = 0  # it may have failed to open the work
                now.error = now.error or event.error
            elif task is not None:
                return [(task.position, event.result)]
        return []

    def _bury(self, now: _Round, worker: _Worker, reason: str) -> None:
        del self._workers[worker.number]
        task = worker.task
        if task is None:
            if not worker.ready:
                now.error = now.error or ConfigError(f"a worker ended before it could be given work: {reason}")
            return
        task.deaths += 1
        if task.deaths < MOST_DEATHS:
            now.waiting.appendleft(task)
        else:
            now.error = now.error or WorkerDiedError(task.position, reason)

    @property
    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers.values() if worker.task is not None]

    def _drop(self, worker: _Worker) -> None:
        del self._workers[worker.number]
        self._kill(worker.number)

    def _dump_or_refuse(self, value: object) -> bytes:
        try:
            return self._dump(value)
        except XaiaugError:
            raise
        except Exception as error:
            raise ConfigError(
                f"something of this stage cannot travel to the workers of this engine: {error}. Run it with "
                'engine = "local" and workers = 1'
            ) from error

    def _dump(self, value: object) -> bytes:
        return pickle.dumps(value)

    @abstractmethod
    def _start(self, number: int) -> None:
        """Begins to start a worker, with the resources that workers have now."""

    @abstractmethod
    def _send(self, number: int, work: bytes | None, chunk: bytes) -> None:
        """Has a worker do a chunk; a worker that is gone is told of by `_wait`."""

    @abstractmethod
    def _wait(self, seconds: float) -> list[tuple[int, Event]]:
        """What happened in the workers that were not killed; waits until there is something, but no longer than so."""

    @abstractmethod
    def _ask_to_stop(self, numbers: Iterable[int]) -> None:
        """Tells workers that the run was asked to stop."""

    @abstractmethod
    def _kill(self, number: int) -> None:
        """Ends a worker at once."""
