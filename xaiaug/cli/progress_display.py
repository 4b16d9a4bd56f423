"""Shows the progress of a run: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from ..records import Progress
from .terminal import escape_line, make_console, print_line, safe_streams

PERIOD = 10.0  # seconds between two plain lines of one stage
MEASURABLE = 1.0  # seconds of work; below this a pace is noise


@contextmanager
def show_progress() -> Iterator[Callable[[Progress], None]]:
    """A `watch` callback that shows progress; nothing is shown for stages that were already finished."""
    if not sys.stderr.isatty():
        yield _Lines().watch
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    pace = TextColumn("{task.fields[pace]}", markup=False)
    columns = (
        TextColumn("{task.description:<28}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        pace,
    )
    with Bars(*columns, console=make_console(error=True)) as bars, safe_streams():
        tasks: dict[str, int] = {}
        starts: dict[str, tuple[int, float]] = {}

        def watch(progress: Progress) -> None:
            if progress.stage not in tasks:
                tasks[progress.stage] = bars.add_task(progress.stage, total=progress.total, pace="")
                starts[progress.stage] = (progress.done, time.monotonic())
            first, started = starts[progress.stage]
            pace_text = format_pace(progress.done - first, time.monotonic() - started, progress.total - progress.done)
            bars.update(tasks[progress.stage], completed=progress.done, total=progress.total, pace=pace_text)  # type: ignore[arg-type]
            if progress.note:
                bars.console.print(escape_line(progress.note))

        yield watch


class _Lines:
    """Prints a line when a stage begins, when it ends, every `PERIOD` in between, and for every note."""

    def __init__(self) -> None:
        self._last: tuple[str, float] = ("", 0.0)
        self._start: tuple[int, float] = (0, 0.0)

    def watch(self, progress: Progress) -> None:
        stage, when = self._last
        now = time.monotonic()
        if progress.stage == stage and progress.done < progress.total and now - when < PERIOD and not progress.note:
            return
        if progress.stage != stage:
            self._start = (progress.done, now)
        self._last = (progress.stage, now)
        first, started = self._start
        pace = format_pace(progress.done - first, now - started, progress.total - progress.done)
        line = "  ".join(part for part in (f"{progress.done}/{progress.total}", pace, progress.note) if part)
        print_line(f"{progress.stage:<28} {line}", error=True)


def format_pace(done: int, seconds: float, left: int) -> str:
    """The pace of work and the time left, such as "2.5/s, 0:01:20 left"; empty if it is too early to tell.

    Args:
        done: items finished in this session.
        seconds: the time they took.
        left: items still to do.
    """
    if done < 1 or seconds < MEASURABLE:
        return ""
    pace = done / seconds
    rate = f"{pace:.1f}/s" if pace >= 1 else f"{1 / pace:.1f} s each"
    return f"{rate}, {timedelta(seconds=round(left / pace))} left" if left else rate
