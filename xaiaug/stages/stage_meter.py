"""Shows how far one stage is, or several that are done side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..records import Progress


class StageMeter:
    """Shows progress under one title.

    Args:
        watch: receives it.
        title: of the progress.
        total: what is to be done, in steps.
        earlier: what was done before this session.
    """

    def __init__(self, watch: Callable[[Progress], None], title: str, total: int, earlier: int) -> None:
        self._watch, self._title, self._total, self._earlier = watch, title, total, earlier
        self._done, self._shown = earlier, False
        if self._done == self._total:
            self.show()

    def show(self, note: str = "") -> None:
        """Shows how far it is: once at the beginning, or with a note."""
        if note or not self._shown:
            self._shown = True
            self._tell(self._done, note)

    def add(self, done: int) -> None:
        """Shows that so much more is done."""
        self._done += done
        self._tell(self._done)

    def show_workers(self, doing: Mapping[str, tuple[str, int]]) -> None:
        """Shows what each worker does, and how far it is in it."""
        lines = tuple(f"{name}: {text}" for name, (text, _) in doing.items())
        self._tell(self._done + sum(steps for _, steps in doing.values()), workers=lines)

    def _tell(self, done: int, note: str = "", workers: tuple[str, ...] = ()) -> None:
        self._watch(Progress(self._title, done, self._total, note, self._earlier, workers))
