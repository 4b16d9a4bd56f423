"""Reads a run folder, finished or not, and writes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .blobs import Blobs
from .run_ledger import RunLedger

LEDGER = "ledger.sqlite"
_PARTED = re.compile(r"(?:((?:round|seed)-\d+)/)?([^/]*)/?(.*)")
BEGUN = "begun"  # the fact that names the stages of the newest sitting
SPEEDS = "speeds"  # the fact that tells units and seconds of each kind of work


def parse_stage(stage: str) -> tuple[str, str, str]:
    """Part, kind and rest of a stage's name: ("seed-3", "synthesize", "critic/0/0"); the main part is empty."""
    part, kind, rest = _PARTED.fullmatch(stage).groups()  # type: ignore[union-attr]  # it matches any name
    return part or "", kind, rest


class Reader:
    """A run folder, read.

    Args:
        folder: of the run.

    Raises:
        RunFolderError: there is no run in it.
        RunLockedError: another process is writing it.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.ledger = RunLedger(self.folder / LEDGER, writable=False)
        self.blobs = Blobs(self.folder / "blobs")

    def close(self) -> None:
        """Closes the ledger."""
        self.ledger.close()

    def stages(self) -> dict[str, tuple[list[str], int]]:
        """Chunk keys and item count of each stage that the newest sitting came to, in the order they were begun."""
        begun = self.fact(BEGUN)
        stages = self.ledger.stages()
        return stages if begun is None else {name: stages[name] for name in begun if name in stages}

    def fact(self, name: str) -> Any:
        """A fact about the run; None when it was never told."""
        return self.ledger.fact(name)

    def rows(self, stage: str) -> Iterator[Any]:
        """The finished rows of a stage, in order; none when it was never begun."""
        keys, _ = self.stages().get(stage, ([], 0))
        for key in keys:
            yield from self.ledger.rows(key) or []
