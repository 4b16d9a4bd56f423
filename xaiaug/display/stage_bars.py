"""The progress of a run: a bar on a terminal or in a notebook, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from ..records import Progress
from .terminal_text import escape_line, make_console

PERIOD = 10.0  # seconds between two plain lines of one stage
MEASURABLE = 1.0  # seconds of work; below this a pace is noise
TITLE = 28  # characters
Watch = Callable[[Progress], None]


@contextmanager
def show_stages(*, lines: bool) -> Iterator[Watch | None]:
    """A `watch` callback that shows the progress of a run on standard error.

    Args:
        lines: whether plain lines are written where there is neither a terminal nor a notebook; if not, None is given.
    """
    if in_notebook():
        bar: NotebookBar | TerminalBar = NotebookBar()
    elif sys.stderr.isatty():
        bar = TerminalBar()
    else:
        yield PlainLines().watch if lines else None
        return
    try:
        yield bar.watch
    finally:
        bar.close()


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook; asks only an IPython that was imported before."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


class StageClock:
    """How fast a stage goes; a stage that begins again, such as for another seed, is a new one."""

    def __init__(self) -> None:
        self.last: Progress | None = None
        self._began = self._first_at = 0.0
        self._first = 0

    def enter(self, progress: Progress) -> bool:
        """Takes note of an update; returns whether a stage begins with it."""
        last, self.last = self.last, progress
        begins = (
            last is None or (progress.stage, progress.total) != (last.stage, last.total) or progress.done < last.done
        )
        if begins:
            self._began, self._first = time.monotonic(), 0
        elif not self._first and last is not None and progress.done > last.done:
            self._first, self._first_at = progress.done, time.monotonic()
        return begins

    def repeats(self, progress: Progress) -> bool:
        """Whether an update differs from the last one in its note alone."""
        last = self.last
        return last is not None and (progress.stage, progress.done, progress.total) == (
            last.stage,
            last.done,
            last.total,
        )

    def describe_pace(self) -> str:
        """The pace and the time left: since the first item was done, for that took longer, if enough came after it.

        One step says nothing of the others: what is loaded once is loaded in it.
        """
        if self.last is None:
            return ""
        done, left, now = self.last.done, self.last.total - self.last.done, time.monotonic()
        if self._first and done > self._first and now - self._first_at >= MEASURABLE:
            return format_pace(done - self._first, now - self._first_at, left)
        if left and done - self.last.earlier < 2:
            return ""
        return format_pace(done - self.last.earlier, now - self._began, left)

    def describe_stage(self) -> str:
        """What remains of a stage: its title and count, how long it took, and its pace."""
        if self.last is None:
            return ""
        took = str(timedelta(seconds=round(time.monotonic() - self._began)))
        return _join(f"{self.last.stage:<{TITLE}} {self.last.done}/{self.last.total}", took, self.describe_pace())


class PlainLines:
    """Writes a line when a stage begins, when it ends, every `PERIOD` in between, and for every note.

    Every `PERIOD` there is a line for each worker, too.
    """

    def __init__(self) -> None:
        self._clock = StageClock()
        self._written = 0.0

    def watch(self, progress: Progress) -> None:
        """Shows an update."""
        if self._clock.repeats(progress):
            if progress.note:
                self._write(progress.note)
            return
        now, begins = time.monotonic(), self._clock.enter(progress)
        if is_old(progress):
            return
        if begins or progress.note or progress.done == progress.total or now - self._written >= PERIOD:
            self._written = now
            count = f"{progress.stage:<{TITLE}} {progress.done}/{progress.total}"
            self._write(_join(count, self._clock.describe_pace(), progress.note))
            for line in progress.workers:
                self._write(f"  {line}")

    def _write(self, line: str) -> None:
        sys.stderr.write(f"{escape_line(line)}\n")
        sys.stderr.flush()


class TerminalBar:
    """A bar for the stage under way; of each that ended a line remains, so that no window is too small for a run."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bars

        title, pace = (TextColumn(text, markup=False) for text in ("{task.description}", "{task.fields[pace]}"))
        columns = title, BarColumn(bar_width=None), MofNCompleteColumn(), pace
        self._bars = Bars(*columns, console=make_console(error=True), expand=True)
        self._bars.start()
        self._task: Any = None
        self._clock = StageClock()

    def watch(self, progress: Progress) -> None:
        """Shows an update."""
        if progress.note:
            self._bars.console.print(escape_line(progress.note))
        if self._clock.repeats(progress):
            return
        ended = self._clock.describe_stage()
        if self._clock.enter(progress):
            self._end_stage(ended)
            if not is_old(progress) and not (progress.note and progress.done == progress.total):
                self._task = self._bars.add_task(progress.stage, total=progress.total, pace="")
        if self._task is not None:
            pace = self._clock.describe_pace()
            self._bars.update(self._task, completed=progress.done, total=progress.total, pace=pace)

    def close(self) -> None:
        """Ends the display."""
        self._end_stage(self._clock.describe_stage())
        self._bars.stop()

    def _end_stage(self, line: str) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._bars.refresh()  # or the bar would be drawn once more below the line
            self._bars.console.print(escape_line(line))
            self._task = None


class NotebookBar:
    """A bar of tqdm for each stage."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there are no widgets: bars of text are as good
            from tqdm.auto import tqdm
        self._make_bar: Any = tqdm
        self._bar: Any = None
        self._clock = StageClock()

    def watch(self, progress: Progress) -> None:
        """Shows an update."""
        if progress.note:
            self._make_bar.write(escape_line(progress.note), file=sys.stderr)
        if self._clock.enter(progress):
            self.close()
            if not is_old(progress) and not (progress.note and progress.done == progress.total):
                title = escape_line(progress.stage)
                self._bar = self._make_bar(desc=title, total=progress.total, initial=progress.earlier, file=sys.stderr)
        if self._bar is not None and progress.done > self._bar.n:
            self._bar.update(progress.done - self._bar.n)

    def close(self) -> None:
        """Ends the bar of the last stage."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def is_old(progress: Progress) -> bool:
    """Whether all of a stage was done by an earlier session, so that there is nothing to show."""
    return 0 < progress.total <= progress.earlier and not progress.note


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


def _join(*parts: str) -> str:
    return "  ".join(part for part in parts if part)
