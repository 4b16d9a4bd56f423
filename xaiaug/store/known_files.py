"""Names of the files that a run wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .models import find_model
from .references import references_in
from .run_files import BLOBS, MODELS, SYNTHETIC
from .run_ledger import RunLedger


def list_known_files(ledger: RunLedger, run: Path) -> set[str]:
    """The blobs, models and exported images of a run: those stamped, and those that rows of any settings speak of.

    Raises:
        RunFolderError: the ledger names what no run writes.
    """
    names = {name for folder in (BLOBS, MODELS, SYNTHETIC) for name in ledger.stamped_files(folder)}
    for row in ledger.all_rows():
        names |= files_of(run, row)
    return names


def files_of(run: Path, row: Any) -> set[str]:
    """The files that a row speaks of, as names below the run folder."""
    names: set[str] = set()
    for kind, value in references_in(row):
        if kind == "model":
            folder = find_model(run, value)
            names |= {f"{folder}/{name}" for name in value["files"]}
        else:
            names.add(f"{BLOBS}/{value[:2]}/{value}")
    return names
