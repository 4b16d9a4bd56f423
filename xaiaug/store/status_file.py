"""status.json: the progress of a run and its count of paid calls, for other processes and against a lost ledger."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from .row_checksums import row_checksum
from .run_ledger import PaidCount

STATUS = "status.json"
LARGEST = 1 << 20  # bytes


class _Paid(BaseModel):
    model_config = ConfigDict(strict=True)
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
        state: "running", "finished", "stopped" or "waiting for review".
        at: when it was written, ISO 8601.
        stage: title of the stage that was under way.
        done: items of it.
        total: its items.
        note: what the run waited for.
        paid: the paid calls then, or a little earlier.
    """

    model_config = ConfigDict(strict=True)
    state: str
    at: str
    stage: str | None = None
    done: int | None = None
    total: int | None = None
    note: str | None = None
    paid: _Paid | None = None

    def to_progress(self) -> dict[str, Any]:
        """State and progress, without the count."""
        return self.model_dump(exclude_none=True, exclude={"paid"})


def read_status(run: Path) -> StatusFile | None:
    """The status of a run; None where it is missing or damaged."""
    try:
        return StatusFile.model_validate_json(_read_regular_file(run / STATUS))
    except (OSError, ValueError):
        return None


def read_paid_count(run: Path) -> PaidCount | None:
    """The count of paid calls in status.json; None where it is missing or damaged."""
    status = read_status(run)
    return None if status is None or status.paid is None else status.paid.count


def format_status(status: Mapping[str, Any], count: PaidCount) -> str:
    """The text of status.json.

    Args:
        status: fields of `StatusFile`, without `paid`.
        count: of paid calls.
    """
    sent, answered, cost = count
    paid = {"sent": sent, "answered": answered, "picodollars": cost, "checksum": row_checksum(*count)}
    return json.dumps({**status, "paid": paid}, indent=2) + "\n"


def _read_regular_file(path: Path) -> bytes:
    # Not blocking: a pipe in its place would keep the process waiting for a writer.
    flags = [getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOFOLLOW", "O_BINARY")]
    handle = os.open(path, sum(flags, os.O_RDONLY))
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:
            raise ValueError(f"{path} is not a small regular file")
        return file.read(LARGEST)
