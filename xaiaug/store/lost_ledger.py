"""A ledger that forgot paid calls is refused: a run that goes on without them would pay for them again.

Calls leave two traces beside the ledger: their replies in blobs/, and the count in status.json. Both are written so
that no crash makes them say more than the ledger: a reply lies in blobs/ only while its call is open in the ledger, or
settled; and the count is of what was committed before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import RunFolderError
from ..files import Directory
from ..records import PICO
from .ledger_file import is_empty
from .run_files import BLOBS, check_places
from .run_ledger import PaidCount, RunLedger
from .schema import LEDGER, UNCLAIMED
from .status_file import STATUS, read_paid_count

_REPLY = re.compile(r"[0-9a-f]{40}\.json")  # no other blob is JSON
_REMEDY = (
    "Continuing would pay for them again, and the budget would not count them. Restore the ledger from a backup "
    "(ledger.sqlite and ledger.sqlite-wal belong together); to pay again, start a new run in another folder"
)


@dataclass(frozen=True)
class PaidTraces:
    """What a run folder shows of paid calls, its ledger aside.

    Attributes:
        count: as status.json has it; None where it is missing or damaged.
        replies: names of the blobs of raw replies.
    """

    count: PaidCount | None
    replies: frozenset[str]


def open_run_ledger(run: Path, *, writable: bool) -> tuple[RunLedger, bool]:
    """The ledger of a run, and whether status.json lacks its count of paid calls.

    Args:
        run: the run folder.
        writable: False opens it for reading only.

    Raises:
        RunFolderError: it is missing, damaged, of another version, or has forgotten paid calls.
        RunLockedError: another process is writing it.
    """
    traces = _find_traces(run)  # first: what is committed meanwhile is only in the ledger, not in these
    has_ledger(run, traces)  # before an empty one is made
    ledger = RunLedger(run / LEDGER, writable=writable)
    try:
        unclaimed = _compare(run, ledger, traces)
        if writable and unclaimed:
            ledger.set_fact(UNCLAIMED, sorted({*unclaimed, *_list_unclaimed(ledger)}))
        return ledger, traces.count is None and ledger.count_paid().sent > 0
    except BaseException:
        ledger.close()
        raise


def has_ledger(run: Path, traces: PaidTraces | None = None) -> bool:
    """Whether a run folder has a ledger; raises RunFolderError where it has none, but shows that calls were paid."""
    path = run / LEDGER
    check_places(run)
    if not is_empty(path):
        return True
    traces = traces or _find_traces(run)
    sent = traces.count.sent if traces.count else 0
    if sent or traces.replies:
        shown = _describe(traces.count) if traces.count and sent else f"{len(traces.replies)} replies lie in {BLOBS}"
        raise RunFolderError(f"the ledger {path} is lost, but calls of this run were paid: {shown}. {_REMEDY}")
    return False


def _compare(run: Path, ledger: RunLedger, traces: PaidTraces) -> frozenset[str]:
    """The replies of open calls; raises RunFolderError where the ledger has forgotten calls."""
    count = ledger.count_paid()
    if traces.count and any(there > here for there, here in zip(traces.count, count, strict=True)):
        raise RunFolderError(
            f"the ledger {run / LEDGER} lacks paid calls: it has {_amounts(count)}, but "
            f"{_describe(traces.count)}. {_REMEDY}"
        )
    if not traces.replies:
        return frozenset()
    known = {name for (name,) in ledger.read("calls", ("reply",), "WHERE reply IS NOT NULL")}
    unknown = traces.replies.difference(known, _list_unclaimed(ledger))
    (opened,) = ledger.select("SELECT count(*) FROM calls WHERE state = 'open'")[0]
    if len(unknown) > opened:
        raise RunFolderError(
            f"the ledger {run / LEDGER} lacks paid calls: {len(unknown)} replies in {BLOBS}, such as "
            f"{min(unknown)}, are not in it, and only {opened} of its calls have no reply. {_REMEDY}"
        )
    return unknown


def _list_unclaimed(ledger: RunLedger) -> list[str]:
    return ledger.get_fact(UNCLAIMED) or []


def _find_traces(run: Path) -> PaidTraces:
    count = read_paid_count(run)
    return PaidTraces(count, frozenset(_list_replies(run)))


def _list_replies(run: Path) -> Iterator[str]:
    files = Directory(run)
    try:
        if files.kind(BLOBS) != "folder":  # a link is reported by `verify`, and refused by what writes
            return
        for folder in files.entries(BLOBS):
            if folder.kind == "folder":
                names = (entry.name.rpartition("/")[2] for entry in files.entries(folder.name))
                yield from (name for name in names if _REPLY.fullmatch(name))
    except OSError as error:
        raise RunFolderError(f"{run / BLOBS} cannot be read: {error.strerror or error}") from error


def _describe(count: PaidCount) -> str:
    return f"{STATUS} counts {_amounts(count)}"


def _amounts(count: PaidCount) -> str:
    return f"{count.sent} calls with {count.answered} replies for ${count.cost / PICO:.4f}"
