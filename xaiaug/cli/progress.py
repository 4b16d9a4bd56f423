"""Shows how far a run has come: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..records import Progress

PERIOD = 10.0  # seconds between two plain lines of one stage


@contextmanager
def watching() -> Iterator[Callable[[Progress], None]]:
    """What a loop is given to watch it; shows nothing for stages that were finished before."""
    if not sys.stderr.isatty():
        yield _Lines().watch
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, int] = {}

        def watch(progress: Progress) -> None:
            if progress.stage not in tasks:
                tasks[progress.stage] = bars.add_task(progress.stage, total=progress.total)
            bars.update(tasks[progress.stage], completed=progress.done, total=progress.total)  # type: ignore[arg-type]
            if progress.note:
                bars.console.print(progress.note, markup=False, highlight=False)

        yield watch


class _Lines:
    """One line when a stage begins, one when it ends, one now and then between, and one for every note."""

    def __init__(self) -> None:
        self._last: tuple[str, float] = ("", 0.0)

    def watch(self, progress: Progress) -> None:
        stage, when = self._last
        now = time.monotonic()
        if progress.stage == stage and progress.done < progress.total and now - when < PERIOD and not progress.note:
            return
        self._last = (progress.stage, now)
        note = f"  {progress.note}" if progress.note else ""
        print(f"{progress.stage:<28} {progress.done}/{progress.total}{note}", file=sys.stderr, flush=True)  # noqa: T201
