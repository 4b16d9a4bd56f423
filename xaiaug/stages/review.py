"""Review by a person: new images wait until somebody has looked at them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..curation.review_table import COLUMNS, DECISION_COLUMNS, REVIEW_TABLE, ReviewDecision, index_rows
from ..records import Critique
from ..records.pipeline import StageKind
from ..store.schema import Wave
from ..store.stage_rows import SynthesisRow, VerdictRow
from .chunks import Item, Stage, complete
from .runtime import StageRuntime

CHECK = "review"


class Review:
    """What a person decides on the new images of a run, and which are still to be looked at.

    A person is shown what the filter kept, without the arms' names, and writes into review.csv, by hand or in the page
    of `xaiaug review`. Equal images are shown once.

    Args:
        runtime: where review.csv is.
        labels: names of the classes.

    Raises:
        DataError: a line of review.csv cannot be understood.
        RunFolderError: it cannot be read.
    """

    def __init__(self, runtime: StageRuntime, labels: Sequence[str]) -> None:
        self._store, self._labels = runtime.store, labels
        self._lines = index_rows(runtime.store.read_table(REVIEW_TABLE, COLUMNS))
        self._decisions = {name: ReviewDecision.from_row(row) for name, row in self._lines.items()}
        self._asked: dict[str, dict[str, Any]] = {}
        self._flagged = {
            self._lines[name].get("case", "") for name, decision in self._decisions.items() if decision.label_is_wrong
        }

    def verdicts(
        self,
        runtime: StageRuntime,
        wave: Wave,
        rows: Sequence[SynthesisRow],
        verdicts: Sequence[VerdictRow],
        predicted: Mapping[str, int],
        *,
        fixed: str,
    ) -> list[VerdictRow]:
        """The filter's verdicts, replaced by a person's where there is one.

        Args:
            runtime: of the round.
            wave: which images they are.
            rows: of the synthesis.
            verdicts: of the filter.
            predicted: index of the predicted class, by case.
            fixed: why a person may not change the prompts: a value of the column "prompt_is_fixed"; empty if one may.
        """
        for row, verdict in zip(rows, verdicts, strict=True):
            if verdict["kept"]:
                self._ask(row, predicted[row["case"]], fixed)
        reviewed = [self._verdict(row, verdict) for row, verdict in zip(rows, verdicts, strict=True)]
        keys = [[row["case"], row["index"], row["seed"]] for row in rows]
        items = [Item([key, verdict], verdict) for key, verdict in zip(keys, reviewed, strict=True)]
        # Kept in the ledger, since the report is written from it.
        complete(
            runtime, Stage(wave.stage(StageKind.REVIEW), "take in the review", None, max(1, len(items))), items, list
        )
        return reviewed

    def has_wrong_label(self, case: str) -> bool:
        """Whether a person found the label of that mistake wrong."""
        return case in self._flagged

    def with_new_prompt(self, row: SynthesisRow, critique: Critique) -> Critique:
        """The critique with the prompt a person wrote for an image, where one did."""
        decision = self._decisions.get(_id(row)) if "image" in row else None
        return replace(critique, prompt=decision.prompt) if decision and decision.prompt else critique

    def waits_for(self, rows: Sequence[SynthesisRow]) -> bool:
        """Whether some of these images are still to be reviewed."""
        return any("image" in row and self._is_waiting(_id(row)) for row in rows)

    def save(self) -> dict[str, int]:
        """Writes review.csv; returns how many images wait, were kept and rejected, and what else was decided."""
        lines = sorted(self._asked.values(), key=lambda line: (line["case"], line["id"]))
        # What a person decided stays, also on an image that other settings no longer make.
        lines += [
            {column: line.get(column, "") for column in COLUMNS}
            for name, line in self._lines.items()
            if name not in self._asked and self._decisions[name] != ReviewDecision()
        ]
        if lines:
            self._store.write_table(REVIEW_TABLE, lines)
        decisions = [self._decisions.get(name, ReviewDecision()) for name in self._asked]
        counted = Counter(decision.keep for decision in decisions)
        return {
            "waiting": sum(self._is_waiting(name) for name in self._asked),
            "kept": counted[True],
            "rejected": counted[False],
            "prompts": sum(bool(decision.prompt) for decision in decisions),
            "labels": len(self._flagged & {line["case"] for line in self._asked.values()}),
        }

    def _is_waiting(self, name: str) -> bool:
        line = self._asked.get(name)
        return line is not None and self._decision(name, line["case"]).keep is None

    def _ask(self, row: SynthesisRow, predicted: int, fixed: str) -> None:
        name, blob = _id(row), row["image"]["blob"]
        line = self._lines.get(name, {})
        self._asked[name] = {
            **{column: line.get(column, "") for column in DECISION_COLUMNS},
            "label": row["label"],
            "predicted": self._labels[predicted],
            "prompt": row["prompt"],
            "image": f"blobs/{blob[:2]}/{blob}",
            "case": row["case"],
            "prompt_is_fixed": fixed,
            "id": name,
        }

    def _verdict(self, row: SynthesisRow, verdict: VerdictRow) -> VerdictRow:
        decision = self._decision(_id(row), row["case"]) if verdict["kept"] else ReviewDecision()
        if decision.keep is not False:
            return verdict
        return VerdictRow(kept=False, check=CHECK, reason=decision.reason, score=None, fingerprint=None)

    def _decision(self, name: str, case: str) -> ReviewDecision:
        return ReviewDecision(False, True) if case in self._flagged else self._decisions.get(name, ReviewDecision())


def _id(row: SynthesisRow) -> str:
    return str(row["image"]["blob"])[:16]
