"""Looks after a run folder from outside: its progress, its integrity, and what can be removed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import RunLockedError
from ..store import Reader, StageName, Store, to_run_folder
from ..store.integrity import problems, sweep
from ..store.schema import REACHED, SESSIONS
from ..store.status_file import read_paid_count, read_status
from .ancestry import missing_ancestors
from .build import costs
from .exported import damaged_exports


def status(run_dir: str | Path) -> dict[str, Any]:
    """How far a run is: always "state" and "at"; unless it is being written now, also "stages" (done and total by name)
    and "costs" (see `report.schema_report.Costs`).

    Raises:
        RunFolderError: there is no run.
    """
    written = read_status(to_run_folder(run_dir))
    try:
        reader = Reader(run_dir)
    except RunLockedError:
        return {"state": "running", "at": "an unknown time"} if written is None else written.to_progress()
    try:
        progress = _last_session(reader) if written is None else written.to_progress()
        # No process writes it: a run that still claims to be running was killed.
        state = "ended from outside" if progress["state"] == "running" else progress["state"]
        stages = {str(name): _count(reader, name) for name in reader.stages()}
        return {**progress, "state": state, "stages": stages, "costs": costs(reader).model_dump()}
    finally:
        reader.close()


def verify(run_dir: str | Path) -> list[str]:
    """What is wrong with a run folder, a line each: digests, ledger against blobs, ancestry of images, and
    the exported images.

    Raises:
        RunFolderError: there is no run, or another process is writing it.
    """
    reader = Reader(run_dir)
    try:
        if found := reader.ledger.find_damage():
            return [f"ledger: {line}" for line in found]  # what follows reads it
        return [*_status_file(reader), *problems(reader), *missing_ancestors(reader), *damaged_exports(reader)]
    finally:
        reader.close()


def collect_garbage(run_dir: str | Path) -> int:
    """Removes what earlier settings left behind; returns the bytes freed.

    Raises:
        RunFolderError: there is no run.
        RunLockedError: another process is writing it.
    """
    Reader(run_dir).close()
    with Store(run_dir) as store:
        return sweep(store, keep_unfinished=not store.ledger.get_fact(REACHED))


def _status_file(reader: Reader) -> Iterator[str]:
    if read_paid_count(reader.folder) is None:
        yield "status.json is missing or damaged: the next run takes its count of paid calls from the ledger"


def _last_session(reader: Reader) -> dict[str, Any]:
    """The progress as the ledger has it, where status.json is missing or damaged."""
    note = "status.json is missing or damaged: this is what the ledger knows"
    sessions = reader.get_fact(SESSIONS)
    if not sessions:
        return {"state": "running", "at": "an unknown time", "note": note}
    return {"state": sessions[-1]["state"], "at": sessions[-1]["ended"], "note": note}


def _count(reader: Reader, stage: StageName) -> dict[str, int]:
    keys, total = reader.stages()[stage]
    finished = sum(reader.ledger.rows(key) is not None for key in keys)
    return {"chunks": len(keys), "finished": finished, "items": total}
