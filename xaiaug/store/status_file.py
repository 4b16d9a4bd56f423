"""status.json: the progress of a run and its count of paid calls, for other processes and against a lost ledger."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import RunFolderError
from ..files import Directory
from .row_checksums import row_checksum
from .run_ledger import PaidCount

STATUS = "status.json"
_MOST = 1 << 20  # bytes


class _Paid(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    sent: int
    answered: int
    picodollars: int
    checksum: int

    @property
    def count(self) -> PaidCount | None:
        """The count; None where it is not as it was written."""
        count = PaidCount(self.sent, self.answered, self.picodollars)
        return count if row_checksum(*count) == self.checksum else None


class StatusFile(BaseModel):
    """What status.json holds.

    Attributes:
        state: "running", "stopping", "finished", "stopped" or "waiting for review".
        at: when it was written, ISO 8601.
        stage: title of the stage that was under way.
        done: items of it.
        total: its items.
        note: what the run waited for.
        workers: what each worker of the engine was doing, a line each.
        paid: the paid calls then, or a little earlier.
    """

    model_config = ConfigDict(strict=True, extra="forbid")
    state: str
    at: str
    stage: str | None = None
    done: int | None = None
    total: int | None = None
    note: str | None = None
    workers: list[str] | None = None
    paid: _Paid | None = None

    def to_progress(self) -> dict[str, Any]:
        """State and progress, without the count."""
        return self.model_dump(exclude_none=True, exclude={"paid"})


def read_status(run: Path) -> StatusFile:
    """What a run wrote for other processes.

    Raises:
        RunFolderError: it cannot be read, or a run never wrote such a thing.
    """
    try:
        return StatusFile.model_validate_json(Directory(run).read(STATUS, _MOST))
    except ValidationError as error:
        raise RunFolderError(f"{STATUS} cannot be read (it is not the progress of a run)") from error
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{STATUS} cannot be read ({getattr(error, 'strerror', None) or error})") from error


def read_paid_count(run: Path) -> PaidCount | None:
    """The count of paid calls in status.json; None where it is missing or damaged."""
    try:
        paid = read_status(run).paid
    except RunFolderError:
        return None
    return None if paid is None else paid.count


def find_damaged_status(run: Path) -> str:
    """What is wrong with status.json; empty where nothing is."""
    try:
        paid = read_status(run).paid
    except RunFolderError as error:
        return str(error)
    return "" if paid is not None and paid.count is not None else f"{STATUS} has lost its count of paid calls"


def format_status(status: Mapping[str, Any], count: PaidCount) -> bytes:
    """The bytes of status.json.

    Args:
        status: fields of `StatusFile`, without `paid`.
        count: of paid calls.
    """
    sent, answered, cost = count
    paid = {"sent": sent, "answered": answered, "picodollars": cost, "checksum": row_checksum(*count)}
    return (json.dumps({**status, "paid": paid}, indent=2) + "\n").encode()
