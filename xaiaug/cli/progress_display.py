"""Shows the progress of a run, while all that the process prints is escaped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..display.stage_bars import show_stages
from ..records import Progress
from .terminal import safe_streams


@contextmanager
def show_progress() -> Iterator[Callable[[Progress], None] | None]:
    """A `watch` callback that shows progress: a bar on a terminal, plain lines elsewhere."""
    # Bars take the streams for themselves, so these are made safe after that.
    with show_stages(lines=True) as watch, safe_streams():
        yield watch
