"""Runs chunks one after another in this process, where torch already uses every core."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")


class LocalEngine:
    """Runs chunks in this process, in order."""

    def map(self, work: Callable[[Chunk], Result], chunks: Iterable[Chunk]) -> Iterator[Result]:
        """The result of each chunk, in order, each as soon as it is done."""
        return map(work, chunks)
