"""Reads a run folder, finished or not, and writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import RunFolderError, XaiaugError
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
        self.blobs = Blobs(self.folder)
        self._stages: tuple[int, dict[StageName, tuple[list[str], int]]] | None = None

    def close(self) -> None:
        """Closes the ledger."""
        self.ledger.close()

    def stages(self) -> dict[StageName, tuple[list[str], int]]:
        """Chunk keys and item count of each stage that the newest session came to, in the order they were begun."""
        # A report asks for them a hundred times; they are read again where another process has written since.
        version = self.ledger.data_version()
        if self._stages is None or self._stages[0] != version:
            self._stages = version, self._read_stages()
        return self._stages[1]

    def _read_stages(self) -> dict[StageName, tuple[list[str], int]]:
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


@contextmanager
def open_reader(folder: str | Path) -> Iterator[Reader]:
    """A run folder, read and closed again; rows and files that no run writes are an error.

    Raises:
        RunFolderError: there is no run in it, or what is in it cannot be understood.
        RunLockedError: another process is writing it.
    """
    with blame_run_folder(folder):
        reader = Reader(folder)
        try:
            yield reader
        finally:
            reader.close()


@contextmanager
def blame_run_folder(folder: str | Path) -> Iterator[None]:
    """Turns what reading rows of a wrong shape raises into an error that names the run folder."""
    try:
        yield
    except XaiaugError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, MemoryError) as error:
        what = str(error).strip().splitlines()[0][:200] if str(error).strip() else "no message"
        raise RunFolderError(
            f"the run folder {folder} holds what no run writes ({type(error).__name__}: {what}); `xaiaug verify` names "
            "what is damaged: run again, take it from where it came from again, or start a new one"
        ) from error
    except OSError as error:
        raise RunFolderError(f"the run folder {folder} cannot be read: {error.strerror or error}") from error
