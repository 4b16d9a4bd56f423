"""Holds out mistakes whose label looks wrong until a person has looked at them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..data import display_name
from ..errors import DataError
from ..records import Critique, ImageSource, Sample
from ..store import Store
from ..suspects import CONFIDENT, CRITIC, flag_by_confident_learning, format_methods
from .diagnosis import Diagnosis
from .mistakes import Mistake

Row = Mapping[str, Any]
TABLE = "suspects.csv"
COLUMNS = ("file", "label", "predicted", "probability", "flagged_by", "label_is_right", "id")
_ANSWERS = {
    **dict.fromkeys(("yes", "y", "true", "1", "x", "right", "wahr", "vrai", "verdadero"), True),
    **dict.fromkeys(("", "no", "n", "false", "0", "wrong", "falsch", "faux", "falso"), False),
}
_NUMBER = re.compile(r"[0-9]+[.,]?[0-9]*E[+-]?[0-9]+")  # what a spreadsheet makes of an id of digits


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
    right = {name for name, row in _answers(store).items() if _is_right(row)}
    suspects = [mistake for mistake in diagnosis.mistakes if mistake.sample.id in flagged]
    diagnosis.held = frozenset(mistake.sample.id for mistake in suspects) - right
    return [_row(mistake, labels, flagged[mistake.sample.id], right) for mistake in suspects]


def list_suspects(store: Store, rows: Sequence[Row]) -> None:
    """Writes suspects.csv: each image once; what a person answered stays, also on an image that is no mistake now."""
    if rows:
        answers = _answers(store)
        by_id = {row["id"]: {**row, "label_is_right": _answer(answers, row["id"])} for row in reversed(rows)}
        kept = [{name: row[name] for name in COLUMNS} for row in answers.values() if row["id"].strip() not in by_id]
        store.write_table(TABLE, [*reversed(by_id.values()), *kept])


def _answers(store: Store) -> dict[str, Row]:
    """The rows that a person answered, by id."""
    rows = [(_is_right(row), row) for row in store.read_table(TABLE, COLUMNS)]
    return {row["id"].strip(): row for _, row in rows if row["label_is_right"].strip()}


def _answer(answers: Mapping[str, Row], name: str) -> str:
    return {True: "yes", False: "no", None: ""}[_is_right(answers[name]) if name in answers else None]


def _is_right(row: Row) -> bool:
    name, answer = row["id"].strip(), row["label_is_right"].strip().lower()
    if not name or _NUMBER.fullmatch(name):
        raise DataError(
            f"{TABLE}: {row['file'][:200]} has the id {name!r}; restore it, and format the column id as text"
        )
    if answer not in _ANSWERS:
        raise DataError(
            f"{TABLE}: label_is_right must be yes, no or empty, got {answer[:80]!r} for {row['file'][:200]}; correct "
            "the line and rerun"
        )
    return _ANSWERS[answer]


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
