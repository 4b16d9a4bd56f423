"""Maps a function over items in threads: as one item is done the next begins, without chunks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Results = SimpleQueue[tuple[int, Any, BaseException | None]]


def imap_unordered(
    work: Callable[[Item], Result], items: Iterable[Item], *, most: int = 64
) -> Iterator[tuple[int, Result]]:
    """The position and result of each item, in the order of completion.

    After an error no further item begins; those in progress are finished and yielded, then the first error is raised.
    KeyboardInterrupt alone does not wait for items in progress: they end with the process. Where it is raised outside
    of this iterator, `abandon` tells it.

    Args:
        work: called from several threads at once.
        items: taken one by one as threads become free.
        most: maximum number of items in progress; `Calls` may admit fewer.
    """
    remaining = enumerate(items)
    results: Results = SimpleQueue()
    error: BaseException | None = None
    running = 0
    try:
        while True:
            for position, item in islice(remaining, 0 if error else most - running):
                # Daemon threads: a second Ctrl-C must not wait for a slow service.
                Thread(target=_run, args=(work, position, item, results), name="call", daemon=True).start()
                running += 1
            if not running:
                break
            position, result, raised = results.get()
            running -= 1
            if raised is None:
                yield position, result
            error = error or raised
    except GeneratorExit:
        for _ in range(running):  # replies that were paid for are recorded before the caller closes its ledger
            results.get()
        raise
    if error is not None:
        raise error


@contextmanager
def abandon(results: Iterator[Any]) -> Iterator[None]:
    """A block that reads results; where KeyboardInterrupt ends it, items in progress are not waited for."""
    try:
        yield
    except KeyboardInterrupt as stop:
        if isinstance(results, Generator):
            with suppress(KeyboardInterrupt):
                results.throw(stop)
        raise


def _run(work: Callable[[Item], Result], position: int, item: Item, results: Results) -> None:
    try:
        results.put((position, work(item), None))
    except BaseException as error:  # noqa: BLE001  raised again in the calling thread
        results.put((position, None, error))
