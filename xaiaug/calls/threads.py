"""A sliding window of calls: as one is done the next begins, with no barrier between chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")
Done = SimpleQueue[tuple[int, Any, BaseException | None]]


def imap_unordered(
    work: Callable[[Given], Made], items: Iterable[Given], *, most: int = 64
) -> Iterator[tuple[int, Made]]:
    """The position and result of each item, in the order they are done.

    When one raises, no other begins; those at work end, their results come, and then the first error is raised.
    Only KeyboardInterrupt does not wait for those at work: they end with the process.

    Args:
        work: called from several threads at once.
        items: taken one by one as threads become free.
        most: items at work at once; `Calls` may admit fewer.
    """
    left = enumerate(items)
    done: Done = SimpleQueue()
    error: BaseException | None = None
    running = 0
    try:
        while True:
            for position, item in islice(left, 0 if error else most - running):
                # A daemon: a second Ctrl-C must not wait for a service that takes its time.
                Thread(target=_do, args=(work, position, item, done), name="call", daemon=True).start()
                running += 1
            if not running:
                break
            position, made, raised = done.get()
            running -= 1
            if raised is None:
                yield position, made
            error = error or raised
    except GeneratorExit:
        for _ in range(running):  # what they were paid for is recorded before the caller closes its books
            done.get()
        raise
    if error is not None:
        raise error


def _do(work: Callable[[Given], Made], position: int, item: Given, done: Done) -> None:
    try:
        done.put((position, work(item), None))
    except BaseException as error:  # noqa: BLE001  raised again in the thread that asked
        done.put((position, None, error))
