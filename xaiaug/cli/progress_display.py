"""Shows how far a run has come: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from ..records import Progress

PERIOD = 10.0  # seconds between two plain lines of one stage
MEASURABLE = 1.0  # seconds of work below which a pace would be chance


@contextmanager
def show_progress() -> Iterator[Callable[[Progress], None]]:
    """What a loop is given to watch it; shows nothing for stages that were finished before."""
    if not sys.stderr.isatty():
        yield _Lines().watch
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    pace = TextColumn("{task.fields[pace]}")
    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), pace)
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, int] = {}
        begun: dict[str, tuple[int, float]] = {}

        def watch(progress: Progress) -> None:
            if progress.stage not in tasks:
                tasks[progress.stage] = bars.add_task(progress.stage, total=progress.total, pace="")
                begun[progress.stage] = (progress.done, time.monotonic())
            first, since = begun[progress.stage]
            told = format_pace(progress.done - first, time.monotonic() - since, progress.total - progress.done)
            bars.update(tasks[progress.stage], completed=progress.done, total=progress.total, pace=told)  # type: ignore[arg-type]
            if progress.note:
                bars.console.print(progress.note, markup=False, highlight=False)

        yield watch


class _Lines:
    """One line when a stage begins, one when it ends, one now and then between, and one for every note."""

    def __init__(self) -> None:
        self._last: tuple[str, float] = ("", 0.0)
        self._begun: tuple[int, float] = (0, 0.0)

    def watch(self, progress: Progress) -> None:
        stage, when = self._last
        now = time.monotonic()
        if progress.stage == stage and progress.done < progress.total and now - when < PERIOD and not progress.note:
            return
        if progress.stage != stage:
            self._begun = (progress.done, now)
        self._last = (progress.stage, now)
        begun, since = self._begun
        pace = format_pace(progress.done - begun, now - since, progress.total - progress.done)
        line = "  ".join(part for part in (f"{progress.done}/{progress.total}", pace, progress.note) if part)
        print(f"{progress.stage:<28} {line}", file=sys.stderr, flush=True)  # noqa: T201


def format_pace(done: int, seconds: float, left: int) -> str:
    """How fast work goes and how long the rest takes, such as "2.5/s, 0:01:20 left"; empty where it cannot be told.

    Args:
        done: items finished in this sitting.
        seconds: they took.
        left: items still to do.
    """
    if done < 1 or seconds < MEASURABLE:
        return ""
    pace = done / seconds
    told = f"{pace:.1f}/s" if pace >= 1 else f"{1 / pace:.1f} s each"
    return f"{told}, {timedelta(seconds=round(left / pace))} left" if left else told
