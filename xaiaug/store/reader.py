"""Reads a run folder, finished or not, and writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .blobs import Blobs
from .lost_ledger import open_run_ledger
from .run_files import to_run_folder
from .schema import BEGUN, Fact, StageName, Value


class Reader:
    """A run folder, read.

    Args:
        folder: of the run.

    Raises:
        RunFolderError: there is no run in it, or one of another format, or its ledger is damaged or has forgotten paid
            calls.
        RunLockedError: another process is writing it.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = to_run_folder(folder)
        self.ledger, _ = open_run_ledger(self.folder, writable=False)
        self.blobs = Blobs(self.folder / "blobs")

    def close(self) -> None:
        """Closes the ledger."""
        self.ledger.close()

    def stages(self) -> dict[StageName, tuple[list[str], int]]:
        """Chunk keys and item count of each stage that the newest session came to, in the order they were begun."""
        stages, begun = self.ledger.stages(), self.get_fact(BEGUN)
        if begun is None:
            return stages
        names = [StageName.parse(text) for text in begun]
        return {name: stages[name] for name in names if name in stages}

    def get_fact(self, fact: Fact[Value]) -> Value | None:
        """A fact about the run; None where it was never set."""
        return self.ledger.get_fact(fact)

    def rows(self, stage: StageName) -> Iterator[Any]:
        """The finished rows of a stage, in order; none where it was never begun."""
        keys, _ = self.stages().get(stage, ([], 0))
        for key in keys:
            yield from self.ledger.rows(key) or []
