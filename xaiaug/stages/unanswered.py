"""Items on which a service gave no answer: the next session asks again, and where none was answered the run stops."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import CallsFailingError
from ..records import Failure
from ..records.pipeline import StageKind
from ..store.run_ledger import RunLedger
from ..store.stage_rows import failure_of

ASKED = (StageKind.CRITIQUE, StageKind.SYNTHESIZE, StageKind.VLM_CHECK)  # the stages whose work services may do


def is_passing(row: Mapping[str, Any]) -> bool:
    """Whether a row of a stage tells of a failure that may pass."""
    failures = [failure_of(one) for one in (row, *row.get("votes", ()))]
    return any(failure is not None and failure.is_passing for failure in failures)


def refuse_if_unanswered(who: str, results: Iterable[Any]) -> None:
    """Raises CallsFailingError when not one item got an answer: nothing can be trained on what is not there.

    Args:
        who: "the critic" or "the synthesizer".
        results: what each item came to, failures among them.
    """
    last, count = None, 0
    for made in results:
        if not (isinstance(made, Failure) and made.is_passing):
            return
        last, count = made, count + 1
    if last is not None:
        raise CallsFailingError(
            f"{who} got no answer on any of the {count} cases, the last with: {last.message}; fix that and rerun the "
            "same command, which asks again"
        )


def count_unanswered(ledger: RunLedger) -> int:
    """The items of a run that got no answer for a reason that may pass: the next session asks again."""
    stages = {name: keys for name, (keys, _) in ledger.stages().items() if name.kind in ASKED}
    keys = [key for name, of_stage in stages.items() if not name.is_critique_part for key in of_stage]
    return sum(is_passing(row) for key in dict.fromkeys(keys) for row in ledger.rows(key) or ())
