"""Reads a run folder, finished or not, and writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import RunFolderError
from .blobs import Blobs
from .ledger import Ledger

LEDGER = "ledger.sqlite"


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
        self.ledger = Ledger(self.folder / LEDGER, writable=False)
        self.blobs = Blobs(self.folder / "blobs")

    def close(self) -> None:
        """Closes the ledger."""
        self.ledger.close()

    def stages(self) -> dict[str, tuple[list[str], int]]:
        """Chunk keys and item count of each stage, in the order they were begun."""
        return self.ledger.stages()

    def fact(self, name: str) -> Any:
        """A fact about the run; None when it was never told."""
        return self.ledger.fact(name)

    def rows(self, stage: str) -> Iterator[Any]:
        """The finished rows of a stage, in order; none when it was never begun."""
        keys, _ = self.stages().get(stage, ([], 0))
        for key in keys:
            yield from self.ledger.rows(key) or []

    def read_text(self, name: str) -> str:
        """A text file of the run folder, such as report.json.

        Raises:
            RunFolderError: it is not there.
        """
        try:
            return (self.folder / name).read_text(encoding="utf-8")
        except OSError as error:
            raise RunFolderError(f"{self.folder / name} cannot be read: {error.strerror or error}") from error
