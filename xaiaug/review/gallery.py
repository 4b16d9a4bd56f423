"""The images that wait for review: read from a run folder, and written back to review.csv as they are decided."""

from __future__ import annotations

import io
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from ..curation.review_table import COLUMNS, DECISION_COLUMNS, KEEP, REVIEW_TABLE, ReviewDecision, index_rows
from ..errors import DataError, RunFolderError
from ..records.pipeline import StageKind
from ..report.thumbnails import overlay, read_heatmap, run_scale
from ..store import Store, open_reader, to_run_folder
from ..store.blobs import Blobs
from ..store.schema import CRITIQUE, SETTINGS, is_seed_part

LONGEST = 4000  # characters of a prompt
_SIDE = 512


class Gallery:
    """The lines of review.csv and their pictures; thread-safe.

    Args:
        run_dir: the run folder.

    Raises:
        RunFolderError: nothing waits for review there.
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
        self._lines = self._read()

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
            if name not in self._lines:
                raise DataError(f"there is no image {name!r} to review")
            values = {column: _check_text(decision[column]) for column in DECISION_COLUMNS if column in decision}
            self._change([name], values)

    def keep_the_rest(self) -> None:
        """Keeps every undecided image."""
        with self._lock:
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
            "cause": critique.get("cause", ""),
            "failed": bool(case.get("image")),
            "heatmap": explained.get("method", "") if explained.get("heatmap") else "",
        }

    def _read(self) -> dict[str, dict[str, str]]:
        with Store(self.run_dir) as store:
            lines = _read_table(store)
        if not lines:
            raise RunFolderError(
                f"nothing waits for review in {self.run_dir}: set [curation] review = true and run until it stops"
            )
        return lines

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
