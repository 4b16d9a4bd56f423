"""mistakes.csv and arms.csv: a run's mistakes, each with its file, and its arms, for a spreadsheet or pandas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..records.pipeline import BASELINE, CONTINUED
from ..report import Report
from ..report.arm_table import ArmRow, summarise_arms
from ..report.schema_arms import ArmResult
from ..report.schema_cases import CaseRow
from ..report.schema_report import ArmCost, Contrast
from ..store import Reader, SourceFile, Store, read_source_files
from .predictions import arm_predictions

FILE = "file"
MISTAKE_COLUMNS = (
    *(FILE, "split", "label", "predicted", "probability", "slice", "cause", "cause_test", "fixed_by", "id"),
)
ARM_COLUMNS = (
    *("arm", "method", "control", "seeds", "steps", "new_images", "real_images", "accuracy", "accuracy_sd"),
    *("balanced_accuracy", "macro_f1", "difference", "difference_sd", "low", "high", "outcome", "fixed", "broken"),
    *("further_labels", "dollars", "minutes"),
)


def write_tables(store: Store, mistakes: list[dict[str, Any]], report: Report) -> None:
    """Writes mistakes.csv and arms.csv into a run folder; without arms the first alone.

    Args:
        store: of the run.
        mistakes: by `list_mistakes`.
        report: of the run.
    """
    if mistakes or report.mistakes.guide_size:
        named = not mistakes or FILE in mistakes[0]
        store.write_table("mistakes.csv", mistakes, MISTAKE_COLUMNS if named else MISTAKE_COLUMNS[1:])
    if report.arms:
        store.write_table("arms.csv", list_arms(report), ARM_COLUMNS)


def list_mistakes(reader: Reader, report: Report, *, paths: bool = True) -> list[dict[str, Any]]:
    """The mistakes on guide that the run looked into, and all of the baseline on test, once test was looked at.

    What arms fix says more on test: they train on images made from the guide's mistakes.

    Args:
        reader: of the run.
        report: of the same run.
        paths: whether each gets the file it lies in, relative to the data folder.

    Raises:
        RunFolderError: splits.csv was changed.
    """
    files = read_source_files(reader) if paths else {}
    rows = [*_guide_mistakes(report, files), *_test_mistakes(reader, report)]
    for row in rows:
        row |= {FILE: files[row["id"]].name if row["id"] in files else None}
    columns = MISTAKE_COLUMNS if paths else MISTAKE_COLUMNS[1:]
    return [{name: row[name] for name in columns} for row in rows]


def _guide_mistakes(report: Report, files: Mapping[str, SourceFile]) -> Iterator[dict[str, Any]]:
    slices = {case: one.name for one in (report.slices.slices if report.slices else ()) for case in one.cases}
    tested = {case: str(one.outcome) for one in report.causes for case in one.cases}
    for case in report.cases:
        split = "validation" if report.data.guide_is_validation else "guide"
        yield {
            "split": files[case.id].split if case.id in files else split,
            "label": case.label,
            "predicted": case.predicted,
            "probability": round(case.probability, 6),
            "slice": slices.get(case.id),
            "cause": _cause(case),
            "cause_test": tested.get(case.id),
            "fixed_by": "; ".join(case.fixed_by) or None,
            "id": case.id,
        }


def _cause(case: CaseRow) -> str | None:
    return case.critique.cause if case.critique else None


def _test_mistakes(reader: Reader, report: Report) -> Iterator[dict[str, Any]]:
    """Test images that the baseline gets wrong, on average over its seeds where it has several."""
    baseline = arm_predictions(reader, BASELINE)
    if baseline is None:
        return
    fixed_by: dict[str, list[str]] = {}
    for arm in report.arms:
        for image in arm.changed.fixed if arm.changed else ():
            fixed_by.setdefault(image, []).append(arm.name)
    probabilities = np.mean(list(baseline.by_seed.values()), axis=0)
    for image, label, each in zip(baseline.ids, baseline.labels, probabilities, strict=True):
        predicted = int(each.argmax())
        if predicted != label:
            yield {
                "split": "test",
                "label": report.data.labels[label],
                "predicted": report.data.labels[predicted],
                "probability": round(float(each[predicted]), 6),
                "slice": None,
                "cause": None,
                "cause_test": None,
                "fixed_by": "; ".join(fixed_by.get(image, ())) or None,
                "id": image,
            }


def list_arms(report: Report) -> list[dict[str, Any]]:
    """The arms of a report, scores in 0 to 1; differences are those over `continued`."""
    costs = {cost.name: cost for cost in report.run.arms}
    contrasts = report.verdict.contrasts if report.verdict else ()
    over_continued = {one.arm: one for one in contrasts if one.against == CONTINUED}
    return [
        _arm(arm, row, costs.get(arm.name, ArmCost(name=arm.name)), over_continued.get(arm.name))
        for arm, row in zip(report.arms, summarise_arms(report), strict=True)
    ]


def _arm(arm: ArmResult, row: ArmRow, cost: ArmCost, contrast: Contrast | None) -> dict[str, Any]:
    return {
        "arm": arm.name,
        "method": arm.method if arm.trained else None,
        "control": "yes" if arm.control else "no",
        "seeds": row.seeds,
        "steps": arm.steps,
        "new_images": row.synthetic,
        "real_images": row.real,
        "accuracy": _round(row.accuracy.mean),
        "accuracy_sd": _round(row.accuracy.sd),
        "balanced_accuracy": _round(row.balanced_accuracy.mean),
        "macro_f1": _round(row.macro_f1.mean),
        "difference": _round(row.difference.mean),
        "difference_sd": _round(row.difference.sd),
        "low": _round(contrast.low) if contrast else None,
        "high": _round(contrast.high) if contrast else None,
        "outcome": contrast.outcome if contrast else None,
        "fixed": len(arm.changed.fixed) if arm.changed else None,
        "broken": len(arm.changed.broken) if arm.changed else None,
        "further_labels": arm.used.labels,
        "dollars": _round(cost.usd),
        "minutes": cost.minutes,
    }


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
