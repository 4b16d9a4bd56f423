"""Looks after a run folder from outside: its progress, its integrity, and what can be removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import RunFolderError, RunLockedError
from ..store import Reader, StageName, Store, blame_run_folder, open_reader, to_run_folder
from ..store.integrity import problems, sweep
from ..store.schema import REACHED, SESSIONS
from ..store.status_file import read_status
from .ancestry import missing_ancestors
from .build import costs
from .exported import damaged_exports


def status(run_dir: str | Path) -> dict[str, Any]:
    """How far a run is: always "state" and "at"; unless it is being written now, also "stages" (done and total by name)
    and "costs" (see `report.schema_report.Costs`).

    Raises:
        RunFolderError: there is no run.
    """
    missing = False
    try:
        progress = read_status(to_run_folder(run_dir)).to_progress()
    except RunFolderError as error:
        missing, progress = True, {"state": "running", "at": "an unknown time", "note": str(error)}
    try:
        with open_reader(run_dir) as reader:
            if missing and (sessions := reader.get_fact(SESSIONS)):
                progress |= {"state": sessions[-1]["state"], "at": sessions[-1]["ended"]}
            # No process writes it: a run that still claims to be running was killed.
            state = "ended from outside" if progress["state"] == "running" else progress["state"]
            stages = {str(name): _count(reader, name) for name in reader.stages()}
            return {**progress, "state": state, "stages": stages, "costs": costs(reader).model_dump()}
    except RunLockedError:
        return progress


def verify(run_dir: str | Path) -> list[str]:
    """What is wrong with a run folder, a line each: every file that is missing, changed or foreign, and what the
    ancestry of the images lacks.

    Raises:
        RunFolderError: there is no run, or another process is writing it.
    """
    with open_reader(run_dir) as reader:
        return [*problems(reader), *missing_ancestors(reader), *damaged_exports(reader)]


def collect_garbage(run_dir: str | Path) -> int:
    """Removes what earlier settings left behind; returns the bytes freed.

    Raises:
        RunFolderError: there is no run.
        RunLockedError: another process is writing it.
    """
    Reader(run_dir).close()
    with blame_run_folder(run_dir), Store(run_dir) as store:
        return sweep(store, keep_unfinished=not store.ledger.get_fact(REACHED))


def _count(reader: Reader, stage: StageName) -> dict[str, int]:
    keys, total = reader.stages()[stage]
    finished = sum(reader.ledger.rows(key) is not None for key in keys)
    return {"chunks": len(keys), "finished": finished, "items": total}
