"""Simulated time and threads: one thread runs at a time, and a seed decides which is next.

Threads change places only where they wait, send, or touch the ledger, so that a seed replays a schedule exactly.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from xaiaug.calls import Clock
from xaiaug.records import RawReply


class Killed(BaseException):
    """The process is no more."""


def shut() -> threading.Lock:
    """A lock that is taken: another thread opens it. Cheaper than a semaphore."""
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(eq=False)
class Task:
    """A thread under the simulation's hand."""

    work: Callable[[], Any]
    turn: threading.Lock = field(default_factory=shut)
    waits_for: object = None  # a condition
    until: float | None = None  # when it wakes at the latest
    ended: bool = False
    error: BaseException | None = None
    result: Any = None


class Condition:
    """A condition of simulated threads. Nobody else runs meanwhile, so there is nothing to lock."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def wait(self, timeout: float | None = None) -> None:
        until = None if timeout is None else self._simulation.now() + timeout
        self._simulation.park(waits_for=self, until=until)

    def notify(self) -> None:
        waiting = [task for task in self._simulation.tasks if task.waits_for is self]
        if waiting:
            self._wake(self._simulation.random.choice(waiting))

    def notify_all(self) -> None:
        for task in self._simulation.tasks:
            if task.waits_for is self:
                self._wake(task)

    def _wake(self, task: Task) -> None:
        task.waits_for = task.until = None


class Simulation(Clock):
    """Runs functions as threads in simulated time.

    Args:
        seed: decides who runs when.
        dies_at: step at which every thread ends as if the process were killed; None: never.
    """

    def __init__(self, seed: int = 0, dies_at: int | None = None) -> None:
        self.random = random.Random(seed)
        self.time, self.steps, self.dies_at = 0.0, 0, dies_at
        self.tasks: list[Task] = []
        self._back = shut()
        self._running: Task | None = None

    def now(self) -> float:
        return self.time

    def condition(self) -> Any:
        return Condition(self)

    def sleep(self, seconds: float) -> None:
        self.park(until=self.time + seconds)

    def step(self) -> None:
        """Lets somebody else run."""
        self.park(until=self.time)

    @property
    def dead(self) -> bool:
        return self.dies_at is not None and self.steps >= self.dies_at

    def park(self, *, waits_for: object = None, until: float | None = None) -> None:
        task = self._running
        assert task is not None
        task.waits_for, task.until = waits_for, until
        self._back.release()
        task.turn.acquire()
        if self.dead:
            raise Killed

    def run(self, *works: Callable[[], Any]) -> list[Task]:
        """Runs all to their end; a thread that waits for ever is an error."""
        self.tasks = [Task(work) for work in works]
        threads = [threading.Thread(target=self._live, args=(task,), daemon=True) for task in self.tasks]
        for thread in threads:
            thread.start()
        while not all(task.ended for task in self.tasks):
            self._running = self._next()
            self._running.waits_for = self._running.until = None
            self.steps += 1
            self._running.turn.release()
            self._back.acquire()
        for thread in threads:
            thread.join()
        return self.tasks

    def _live(self, task: Task) -> None:
        task.turn.acquire()
        try:
            task.result = task.work()
        except BaseException as error:  # noqa: BLE001  told to whoever started the run
            task.error = error
        task.ended = True
        self._back.release()

    def _next(self) -> Task:
        alive = [task for task in self.tasks if not task.ended]
        ready = [task for task in alive if self.dead or (task.waits_for is None and (task.until or 0) <= self.time)]
        if not ready:
            times = [task.until for task in alive if task.until is not None]
            assert times, "every thread waits, and nobody will wake one"
            self.time = max(self.time, min(times))
            ready = [task for task in alive if task.until is not None and task.until <= self.time]
        return self.random.choice(ready)


class RateLimited:
    """A simulated service that answers so many requests a second, in a sliding window, and turns the others down.

    Args:
        simulation: where time passes.
        rate: requests a second; None: as many as come.
        latency: seconds to an answer; a refusal takes a tenth of that.
    """

    def __init__(self, simulation: Simulation, rate: int | None, latency: float = 0.5) -> None:
        self._simulation, self._rate, self._latency = simulation, rate, latency
        self._admitted: list[float] = []
        self.requests = self.refused = 0

    def __call__(self, request: Mapping[str, Any]) -> RawReply:
        from xaiaug.calls import CallError

        now = self._simulation.now()
        self.requests += 1
        self._admitted = [at for at in self._admitted if at > now - 1]
        if self._rate is not None and len(self._admitted) >= self._rate:
            self.refused += 1
            self._simulation.sleep(self._latency / 10)
            raise CallError("retry", "too fast", status=429)
        self._admitted.append(now)
        self._simulation.sleep(self._latency * self._simulation.random.uniform(0.8, 1.2))
        return RawReply({"text": "yes"}, {"input_tokens": 10, "output_tokens": 5})
