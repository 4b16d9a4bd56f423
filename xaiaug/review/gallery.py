"""The new images of a run: to be decided on in review.csv, or, of a run without review, to be looked at."""

from __future__ import annotations

import io
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from ..curation.review_table import (
    COLUMNS,
    DECISION_COLUMNS,
    KEEP,
    NOT_READ,
    REJECT,
    REVIEW_TABLE,
    ReviewDecision,
    index_rows,
)
from ..errors import DataError, RunFolderError
from ..records.pipeline import StageKind
from ..report.thumbnails import overlay, read_heatmap, run_scale
from ..store import Reader, Store, open_reader, to_run_folder
from ..store.blobs import Blobs
from ..store.schema import CASES, CRITIQUE, DATA, SETTINGS, Wave, is_seed_part

LONGEST = 4000  # characters of a prompt
_SIDE = 512


class Gallery:
    """The lines of review.csv and their pictures; thread-safe. Of a run without review, its images to look at.

    Args:
        run_dir: the run folder.

    Attributes:
        decides: whether there is something to decide: not in a run without review.

    Raises:
        RunFolderError: the run has no new images.
        RunLockedError: another process is writing the run.
        DataError: a line of review.csv is invalid.
    """

    def __init__(self, run_dir: str | Path) -> None:
        self.run_dir = to_run_folder(run_dir)
        self._lock = threading.Lock()
        self._blobs = Blobs(self.run_dir)
        self._cases: dict[str, Any] = {}
        self._scales: dict[str, tuple[float, float] | None] = {}
        with open_reader(self.run_dir) as reader:
            settings = reader.get_fact(SETTINGS) or {}
            for stage in reader.stages():
                if stage.kind == StageKind.EXPLAIN and not is_seed_part(stage.part):
                    self._add_cases(list(reader.rows(stage)), settings)
            self._causes = {row["id"]: row["critique"] for row in reader.rows(CRITIQUE) if row.get("critique")}
            made = dict(_list_made(reader))
        lines = self._read()
        self.decides = bool(lines)
        self._lines = lines or made
        if not self._lines:
            raise RunFolderError(f"the run in {self.run_dir} has no new images to review: run it up to images")

    def items(self) -> list[dict[str, Any]]:
        """One entry an image, in the order of review.csv."""
        with self._lock:
            return [self._to_item(line) for line in self._lines.values()]

    def decide(self, name: str, decision: Mapping[str, Any]) -> None:
        """Stores the decision on one image; review.csv is written when this returns.

        Args:
            name: id of the image.
            decision: values of the columns "decision", "label_is_wrong" and "new_prompt"; others are ignored, missing
                ones stay unchanged.

        Raises:
            DataError: no such image, or an invalid value.
            RunLockedError: another process is writing the run.
        """
        with self._lock:
            self._refuse_to_browse()
            if name not in self._lines:
                raise DataError(f"there is no image {name!r} to review")
            values = {column: _check_text(decision[column]) for column in DECISION_COLUMNS if column in decision}
            self._change([name], values)

    def keep_the_rest(self) -> None:
        """Keeps every undecided image."""
        with self._lock:
            self._refuse_to_browse()
            undecided = [name for name, line in self._lines.items() if ReviewDecision.from_row(line).keep is None]
            self._change(undecided, {"decision": KEEP})

    def picture(self, name: str, what: str) -> bytes:
        """A picture as PNG: "image" (the new one), "failed" (the guide image) or "heatmap" (over the guide image).

        Raises:
            LookupError: no such picture.
            RunFolderError: its file is missing or torn.
        """
        line = self._lines[name]
        if what == "image":
            return self._blobs.read(Path(line["image"]).name)
        case = self._cases[line["case"]]
        if what == "failed":
            return self._blobs.read(case["image"]["blob"])
        if what != "heatmap" or not case["predicted"].get("heatmap"):
            raise LookupError(what)
        image = self._blobs.image(case["image"]["blob"])
        image.thumbnail((_SIDE, _SIDE))
        heatmap = _heatmap(case)
        explanation = read_heatmap(self._blobs.read(heatmap)) if heatmap else None
        return _encode_png(overlay(image, explanation, self._scales[line["case"]]))

    def _refuse_to_browse(self) -> None:
        if not self.decides:
            raise DataError(
                "this run has no review: set [curation] review = true and run it again to decide on its images"
            )

    def _add_cases(self, rows: Sequence[Any], settings: Mapping[str, Any]) -> None:
        scale = run_scale(settings, filter(None, map(_heatmap, rows)), self._blobs.read)
        self._cases.update({row["id"]: row for row in rows})
        self._scales.update({row["id"]: scale for row in rows})

    def _to_item(self, line: Mapping[str, str]) -> dict[str, Any]:
        case, critique = self._cases.get(line["case"], {}), self._causes.get(line["case"], {})
        explained = case.get("predicted") or {}
        return {
            **{name: line[name] for name in ("id", "label", "predicted", "prompt", "new_prompt", "case")},
            "decision": {True: "keep", False: "reject", None: ""}[ReviewDecision.from_row(line).keep],
            "label_is_wrong": ReviewDecision.from_row(line).label_is_wrong,
            "prompt_is_fixed": bool(line["prompt_is_fixed"]),
            "prompt_is_read": line["prompt_is_fixed"] != NOT_READ,
            "reason": line.get("reason", ""),
            "cause": critique.get("cause", ""),
            "failed": bool(case.get("image")),
            "heatmap": explained.get("method", "") if explained.get("heatmap") else "",
        }

    def _read(self) -> dict[str, dict[str, str]]:
        with Store(self.run_dir) as store:
            return _read_table(store)

    def _change(self, names: Collection[str], values: Mapping[str, str]) -> None:
        # Read again: the table may have been edited in another program.
        with Store(self.run_dir) as store:
            lines = {name: {**line, **values} if name in names else line for name, line in _read_table(store).items()}
            if lost := set(names) - set(lines):
                raise DataError(f"{REVIEW_TABLE} has no line for {', '.join(sorted(lost))} any more; reload the page")
            for line in lines.values():
                ReviewDecision.from_row(line)
            store.write_table(REVIEW_TABLE, list(lines.values()))
        self._lines = lines


def _list_made(reader: Reader) -> Iterator[tuple[str, dict[str, str]]]:
    """The images of a run by id, each as a line of review.csv that the filter has decided on, and why."""
    stages, labels = reader.stages(), (reader.get_fact(DATA) or {}).get("labels", [])
    predicted = {row["id"]: labels[row["predicted"]] for row in reader.rows(CASES)}
    for stage in stages:
        if stage.kind == StageKind.SYNTHESIZE and not stage.of_early_round:
            verdicts = reader.rows(Wave.of(stage).stage(StageKind.CURATE))
            for row, verdict in zip(reader.rows(stage), verdicts, strict=False):
                if "image" in row:
                    blob = row["image"]["blob"]
                    yield (
                        blob[:16],
                        {
                            **dict.fromkeys(COLUMNS, ""),
                            "decision": KEEP if verdict["kept"] else REJECT,
                            "label": row["label"],
                            "predicted": predicted.get(row["case"], ""),
                            "prompt": row["prompt"],
                            "image": f"blobs/{blob[:2]}/{blob}",
                            "case": row["case"],
                            "id": blob[:16],
                            "reason": verdict["reason"] or "",
                        },
                    )


def _read_table(store: Store) -> dict[str, dict[str, str]]:
    return index_rows(store.read_table(REVIEW_TABLE, COLUMNS))


def _heatmap(case: Mapping[str, Any]) -> str | None:
    """The blob of the heatmap; None if there is none, or it is constant."""
    explained = case["predicted"]
    return explained["heatmap"]["blob"] if explained.get("heatmap") and not explained["degenerate"] else None


def _check_text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if not isinstance(value, str) or len(value) > LONGEST:
        raise DataError(f"expected a text of at most {LONGEST} characters, got {str(value)[:80]!r}")
    return value


def _encode_png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
