"""Holds back mistakes whose label looks wrong until a person has looked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..data import display_name
from ..records import Critique, Failure, Sample
from ..store import Store
from ..suspects import CONFIDENT, CRITIC, flag_by_confident_learning, format_methods
from .diagnosis import Diagnosis
from .mistakes import Mistake

Row = Mapping[str, Any]
TABLE = "suspects.csv"
YES = ("yes", "y", "true", "1", "right")


def hold_out_suspects(
    diagnosis: Diagnosis, asked: Sequence[str], guide: Sequence[Sample], critiques: Sequence[Critique | Failure]
) -> tuple[Diagnosis, list[Row]]:
    """The diagnosis without the mistakes whose label looks wrong, and their rows of suspects.csv.

    A person looks at them there, and writes "yes" into the column "label_is_right" of those whose label is right after
    all; the same command then goes on with them.

    Args:
        diagnosis: of the run.
        asked: who is asked: "critic", "confident-learning".
        guide: the guide split.
        critiques: of the primary source, one a mistake: what is decided here holds for every arm.
    """
    flagged: dict[str, set[str]] = {}
    if CRITIC in asked:
        for mistake, made in zip(diagnosis.mistakes, critiques, strict=True):
            if isinstance(made, Critique) and made.label_suspect:
                flagged.setdefault(mistake.sample.id, set()).add(CRITIC)
    if CONFIDENT in asked:
        found = diagnosis.predictions
        for place in flag_by_confident_learning(found.labels, found.probabilities):
            flagged.setdefault(guide[place].id, set()).add(CONFIDENT)
    right = {row.get("id", "") for row in _seen(diagnosis.runtime.store)}
    suspects = [mistake for mistake in diagnosis.mistakes if mistake.sample.id in flagged]
    rows = [_row(one, diagnosis.context.labels, flagged[one.sample.id], right) for one in suspects]
    return replace(diagnosis, held=frozenset(one.sample.id for one in suspects) - right), rows


def list_suspects(store: Store, rows: Sequence[Row]) -> None:
    """Writes suspects.csv: each image once; what a person said once stays said, also of one that is no mistake now."""
    if rows:
        by_id = {row["id"]: row for row in reversed(rows)}
        said = [{name: row.get(name, "") for name in rows[0]} for row in _seen(store) if row.get("id") not in by_id]
        store.write_table(TABLE, [*reversed(by_id.values()), *said])


def _seen(store: Store) -> list[Row]:
    return [row for row in store.read_table(TABLE) if _says_yes(row)]


def _says_yes(row: Mapping[str, str]) -> bool:
    return row.get("label_is_right", "").strip().lower() in YES


def _row(mistake: Mistake, labels: Sequence[str], by: set[str], right: Collection[str]) -> Mapping[str, Any]:
    return {
        "file": display_name(mistake.sample),
        "label": labels[mistake.sample.label],
        "predicted": labels[mistake.predicted],
        "probability": round(mistake.probabilities[mistake.predicted], 4),
        "flagged_by": format_methods(sorted(by)),
        "label_is_right": "yes" if mistake.sample.id in right else "",
        "id": mistake.sample.id,
    }
