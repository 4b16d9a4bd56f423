"""Looks after a run folder from outside: how far it is, whether it is whole, and what can go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import RunFolderError, RunLockedError
from ..store import Reader, Store
from ..store.integrity import problems, sweep
from .build import costs


def status(run_dir: str | Path) -> dict[str, Any]:
    """How far a run is: "state" and "at" always; unless it is being written now, "stages" (done and total by name) and
    "costs" (see `report.schema.Costs`).

    Raises:
        RunFolderError: there is no run.
    """
    path = Path(run_dir, "status.json")
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunFolderError(f"there is no run in {run_dir}: {path.name} cannot be read ({error})") from error
    try:
        reader = Reader(run_dir)
    except RunLockedError:
        return told
    try:
        # Nobody writes it: a run that still says "running" was ended from outside.
        state = "ended from outside" if told["state"] == "running" else told["state"]
        stages = {name: _count(reader, name) for name in reader.stages()}
        return {**told, "state": state, "stages": stages, "costs": costs(reader).model_dump()}
    finally:
        reader.close()


def verify(run_dir: str | Path) -> list[str]:
    """What is wrong with a run folder, a line each: digests, ancestry, ledger against blobs.

    Raises:
        RunFolderError: there is no run, or another process is writing it.
    """
    reader = Reader(run_dir)
    try:
        return problems(reader)
    finally:
        reader.close()


def collect_garbage(run_dir: str | Path) -> int:
    """Removes what earlier settings left behind; returns the bytes set free.

    Raises:
        RunFolderError: there is no run.
        RunLockedError: another process is writing it.
    """
    Reader(run_dir).close()
    with Store(run_dir) as store:
        return sweep(store)


def _count(reader: Reader, stage: str) -> dict[str, int]:
    keys, total = reader.stages()[stage]
    finished = sum(reader.ledger.rows(key) is not None for key in keys)
    return {"chunks": len(keys), "finished": finished, "items": total}
