"""A sliding window of calls: as one is done the next begins, with no barrier between chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from queue import SimpleQueue
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def sliding(work: Callable[[Given], Made], items: Iterable[Given], *, most: int = 64) -> Iterator[tuple[int, Made]]:
    """The position and result of each item, in the order they are done.

    When one raises, no other begins; those at work end, their results come, and then the first error is raised.

    Args:
        work: called from several threads at once.
        items: taken one by one as threads become free.
        most: items at work at once; `Calls` may admit fewer.
    """
    left = enumerate(items)
    error: BaseException | None = None
    done: SimpleQueue[tuple[int, Future[Made]]] = SimpleQueue()
    with ThreadPoolExecutor(most, thread_name_prefix="calls") as pool:
        running = 0
        while True:
            for position, item in islice(left, 0 if error else most - running):
                pool.submit(work, item).add_done_callback(partial(_tell, done, position))
                running += 1
            if not running:
                break
            position, future = done.get()
            running -= 1
            if (raised := future.exception()) is None:
                yield position, future.result()
            error = error or raised
    if error is not None:
        raise error


def _tell(done: SimpleQueue[tuple[int, Future[Made]]], position: int, future: Future[Made]) -> None:
    done.put((position, future))
