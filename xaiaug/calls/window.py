"""A sliding window of calls: as one is done the next begins, with no barrier between chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
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
    with ThreadPoolExecutor(most, thread_name_prefix="calls") as pool:
        running: dict[Future[Made], int] = {}
        while True:
            for position, item in islice(left, 0 if error else most - len(running)):
                running[pool.submit(work, item)] = position
            if not running:
                break
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                position = running.pop(done)
                if (raised := done.exception()) is None:
                    yield position, done.result()
                error = error or raised
    if error is not None:
        raise error
