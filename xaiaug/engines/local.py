"""Runs chunks on this machine: one after another in this process, or in several processes, a GPU each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .pool import Watch
from .worker import Work


class LocalEngine:
    """Runs chunks in this process, in order; torch already uses every core there."""

    def count_workers(self, kind: str = "") -> int:  # noqa: ARG002  of every kind
        """One chunk at once."""
        return 1

    def check(self, what: str, value: object) -> None:
        """Nothing travels."""

    def map(
        self,
        work: Work,
        chunks: Iterable[Any],
        *,
        kind: str = "",  # noqa: ARG002  all are done here
        stopping: Callable[[], bool] = bool,  # noqa: ARG002  the work asks for itself
        watch: Watch | None = None,  # noqa: ARG002  likewise
    ) -> Iterator[tuple[int, Any]]:
        """Position and result of each chunk, in order, each as soon as it is done."""
        return enumerate(map(work, chunks))

    def close(self) -> None:
        """There is nothing to end."""
