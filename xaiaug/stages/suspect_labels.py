"""Holds out mistakes whose label looks wrong until a person has looked at them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..data import display_name
from ..records import Critique, ImageSource, Sample
from ..store import Store
from ..suspects import CONFIDENT, CRITIC, flag_by_confident_learning, format_methods
from .diagnosis import Diagnosis
from .mistakes import Mistake

Row = Mapping[str, Any]
TABLE = "suspects.csv"
YES = ("yes", "y", "true", "1", "right")


def hold_out_suspects(
    diagnosis: Diagnosis, ways: Collection[str], guide: Sequence[Sample], primary: ImageSource
) -> list[Row]:
    """Holds out the mistakes whose label looks wrong from a diagnosis; returns their rows of suspects.csv.

    A person looks at them there, and writes "yes" into the column "label_is_right" of those whose label is right after
    all; rerunning the same command then includes them.

    Args:
        diagnosis: of the mistakes; its `held` is set.
        ways: how labels are suspected: by "critic", by "confident-learning".
        guide: the guide split.
        primary: the source whose critiques count: what is decided by them holds for every arm.
    """
    flagged: dict[str, set[str]] = {}
    if CRITIC in ways:
        for mistake, critique in zip(diagnosis.mistakes, diagnosis.critiques(primary), strict=True):
            if isinstance(critique, Critique) and critique.label_suspect:
                flagged.setdefault(mistake.sample.id, set()).add(CRITIC)
    if CONFIDENT in ways:
        predictions = diagnosis.predictions
        for place in flag_by_confident_learning(predictions.labels, predictions.probabilities):
            flagged.setdefault(guide[place].id, set()).add(CONFIDENT)
    store, labels = diagnosis.runtime.store, diagnosis.runtime.context.labels
    right = {row.get("id", "") for row in _confirmed(store)}
    suspects = [mistake for mistake in diagnosis.mistakes if mistake.sample.id in flagged]
    diagnosis.held = frozenset(mistake.sample.id for mistake in suspects) - right
    return [_row(mistake, labels, flagged[mistake.sample.id], right) for mistake in suspects]


def list_suspects(store: Store, rows: Sequence[Row]) -> None:
    """Writes suspects.csv: each image once; what a person confirmed stays, also of an image that is no mistake now."""
    if rows:
        by_id = {row["id"]: row for row in reversed(rows)}
        kept = [
            {name: row.get(name, "") for name in rows[0]} for row in _confirmed(store) if row.get("id") not in by_id
        ]
        store.write_table(TABLE, [*reversed(by_id.values()), *kept])


def _confirmed(store: Store) -> list[Row]:
    """The rows whose label a person found right."""
    return [row for row in store.read_table(TABLE) if _is_yes(row)]


def _is_yes(row: Mapping[str, str]) -> bool:
    return row.get("label_is_right", "").strip().lower() in YES


def _row(mistake: Mistake, labels: Sequence[str], flagged_by: set[str], right: Collection[str]) -> Mapping[str, Any]:
    return {
        "file": display_name(mistake.sample),
        "label": labels[mistake.sample.label],
        "predicted": labels[mistake.predicted],
        "probability": round(mistake.probabilities[mistake.predicted], 4),
        "flagged_by": format_methods(sorted(flagged_by)),
        "label_is_right": "yes" if mistake.sample.id in right else "",
        "id": mistake.sample.id,
    }
