"""The human gate: new images wait until a person has looked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..curation.review_table import COLUMNS, DECISION_COLUMNS, REVIEW_TABLE, ReviewDecision
from ..records import Critique
from .chunks import Item, Stage, complete
from .runtime import StageRuntime

CHECK = "review"


class Review:
    """What a person says of the new images of a run, and which are still to be looked at.

    A person is shown what the gate kept, without the arms' names, and writes into review.csv, by hand or by the page of
    `xaiaug review`. Equal images are shown once.

    Args:
        runtime: where review.csv is.
        labels: names of the classes.

    Raises:
        DataError: a line of review.csv cannot be understood.
        RunFolderError: it cannot be read.
    """

    def __init__(self, runtime: StageRuntime, labels: Sequence[str]) -> None:
        self._store, self._labels = runtime.store, labels
        self._lines = {row.get("id", ""): row for row in runtime.store.read_table(REVIEW_TABLE)}
        self._said = {name: ReviewDecision.from_row(row) for name, row in self._lines.items()}
        self._asked: dict[str, dict[str, Any]] = {}
        self._flagged = {
            self._lines[name].get("case", "") for name, decision in self._said.items() if decision.label_is_wrong
        }

    def verdicts(
        self,
        runtime: StageRuntime,
        name: str,
        rows: Sequence[Any],
        gate: Sequence[Any],
        predicted: Mapping[str, int],
        fixed: bool,
    ) -> list[dict[str, Any]]:
        """The gate's verdicts, with a person's in their place where there is one.

        Args:
            runtime: of the round.
            name: of the source, seed and wave.
            rows: of the synthesis.
            gate: its verdicts.
            predicted: index of the predicted class, by case.
            fixed: whether the source says what the prompts are.
        """
        for row, verdict in zip(rows, gate, strict=True):
            if verdict["kept"]:
                self._ask(row, predicted[row["case"]], fixed)
        found = [self._verdict(row, verdict) for row, verdict in zip(rows, gate, strict=True)]
        keys = [[row["case"], row["index"], row["seed"]] for row in rows]
        items = [Item([key, verdict], verdict) for key, verdict in zip(keys, found, strict=True)]
        # Kept in the ledger, since the report is written from it.
        complete(runtime, Stage(f"review/{name}", "take in the review", None, max(1, len(items))), items, list)
        return found

    def flagged(self, case: str) -> bool:
        """Whether a person found the label of that mistake wrong."""
        return case in self._flagged

    def reworded(self, row: Any, critique: Critique) -> Critique:
        """The critique with the prompt a person wrote for an image, where one did."""
        said = self._said.get(_id(row)) if "image" in row else None
        return replace(critique, prompt=said.prompt) if said and said.prompt else critique

    def waits_for(self, rows: Sequence[Any]) -> bool:
        """Whether nobody has judged some of these images yet."""
        return any("image" in row and self._waiting(_id(row)) for row in rows)

    def save(self) -> dict[str, int]:
        """Writes review.csv, and returns how many images wait, were kept and rejected, and what else was said."""
        lines = sorted(self._asked.values(), key=lambda line: (line["case"], line["id"]))
        # What a person said once stays said, also of an image that other settings no longer make.
        lines += [
            {column: line.get(column, "") for column in COLUMNS}
            for name, line in self._lines.items()
            if name not in self._asked and self._said[name] != ReviewDecision()
        ]
        if lines:
            self._store.write_table(REVIEW_TABLE, lines)
        said = [self._said.get(name, ReviewDecision()) for name in self._asked]
        counted = Counter(decision.keep for decision in said)
        return {
            "waiting": sum(self._waiting(name) for name in self._asked),
            "kept": counted[True],
            "rejected": counted[False],
            "prompts": sum(bool(decision.prompt) for decision in said),
            "labels": len(self._flagged & {line["case"] for line in self._asked.values()}),
        }

    def _waiting(self, name: str) -> bool:
        line = self._asked.get(name)
        return line is not None and self._decision(name, line["case"]).keep is None

    def _ask(self, row: Any, predicted: int, fixed: bool) -> None:
        name, blob = _id(row), row["image"]["blob"]
        told = self._lines.get(name, {})
        self._asked[name] = {
            **{column: told.get(column, "") for column in DECISION_COLUMNS},
            "label": row["label"],
            "predicted": self._labels[predicted],
            "prompt": row["prompt"],
            "image": f"blobs/{blob[:2]}/{blob}",
            "case": row["case"],
            "prompt_is_fixed": "yes" if fixed else "",
            "id": name,
        }

    def _verdict(self, row: Any, verdict: dict[str, Any]) -> dict[str, Any]:
        said = self._decision(_id(row), row["case"]) if verdict["kept"] else ReviewDecision()
        if said.keep is not False:
            return dict(verdict)
        return {"kept": False, "check": CHECK, "reason": said.reason, "score": None, "fingerprint": None}

    def _decision(self, name: str, case: str) -> ReviewDecision:
        return ReviewDecision(False, True) if case in self._flagged else self._said.get(name, ReviewDecision())


def _id(row: Any) -> str:
    return str(row["image"]["blob"])[:16]
