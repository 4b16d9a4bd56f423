"""Builds the report of a run from its ledger."""

from __future__ import annotations

import os
import platform
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from typing import Any, Literal

from ..errors import RunFolderError
from ..records import PICO
from ..records.pipeline import MARGIN, PRIMARY, StageKind, Stop
from ..report import Report
from ..report.schema_report import Costs, Overrun
from ..store import CallLedger, Reader, read_source_files
from ..store.schema import (
    CASES,
    CAUSES_JUDGED,
    COMPARISON,
    CRITIQUE,
    DATA,
    EXPLAIN,
    FAITHFULNESS_SUMMARY,
    HELD,
    IMAGES,
    JUDGED_BY,
    LEFT_OUT,
    MISTAKES,
    PLUGINS,
    PREDICT_GUIDE,
    REACHED,
    REVIEWED,
    ROUNDS,
    SESSIONS,
    SETTINGS,
    SLICE_CAUSES_JUDGED,
    SLICES,
    TEST_SEEN,
    UNTIL,
    ImagesFact,
    Wave,
)
from ..store.stage_rows import (
    CaseRow,
    CauseRow,
    CritiqueRow,
    EditedImageRow,
    ExplainRow,
    SlicesRow,
    SynthesisRow,
    VerdictRow,
)
from .agreement import list_votes, measure_agreement, price_agreement
from .arm_costs import list_arm_costs
from .fixed_images import changed_test_images, mistakes_fixed_by
from .map_effect import find_untestable
from .notes import notes
from .predictions import arm_rows
from .recommendation import recommend
from .verdict import verdict

# What is compared where a run stopped before its settings were recorded.
USUAL_COMPARISON = {"primary": PRIMARY, "metric": "accuracy", "smallest_effect": 0.5, "margin": MARGIN}
VERDICTS = (StageKind.REVIEW, StageKind.VLM_CHECK, StageKind.CURATE)  # the last word first
_GROUPS: tuple[tuple[str, Literal["mistakes", "correct"]], ...] = (("mistakes", "mistakes"), ("of_correct", "correct"))
PACKAGES = ("xaiaug", "torch", "transformers", "numpy", "pillow", "scikit-learn")


def build(reader: Reader) -> Report:
    """The report of a run as far as it went; equal runs differ in `run` alone."""
    data: dict[str, Any] = reader.get_fact(DATA) or {"labels": []}
    plugins = _plugins(reader)
    until = reader.get_fact(UNTIL) or str(Stop.REPORT)
    labels = tuple(data["labels"])
    arms = arm_rows(reader, labels)
    sources = _list_sources(reader)
    cases = _case_rows(reader, labels, sources, mistakes_fixed_by(reader, arms))
    comparison: dict[str, Any] = reader.get_fact(COMPARISON) or USUAL_COMPARISON
    untestable = find_untestable(reader)
    settings: dict[str, Any] = reader.get_fact(SETTINGS) or {}
    fields = {
        "run": _run(reader, settings.get("engine", {})),
        "settings": {name: table for name, table in settings.items() if name != "engine"},
        "until": until,
        "complete": reader.get_fact(REACHED) == until,
        "data": {**_data(data, plugins), "test_seen": reader.get_fact(TEST_SEEN) or 0},
        "plugins": plugins,
        "arms": arms,
        "left_out": reader.get_fact(LEFT_OUT) or [],
        "mistakes": _mistakes(reader, labels, len(cases)),
        "rounds": reader.get_fact(ROUNDS) or (),
        "maps": next(reader.rows(FAITHFULNESS_SUMMARY), None),
        "slices": next((_slices(row, reader.rows(SLICE_CAUSES_JUDGED)) for row in reader.rows(SLICES)), None),
        "causes": [_cause(row) for row in reader.rows(CAUSES_JUDGED)],
        "agreement": measure_agreement(reader),
        "cases": cases,
        "changed": changed_test_images(reader, arms, labels, sources),
        "images": {**_image_summary(reader, labels), "untestable": tuple(untestable.values())},
        "verdict": verdict(reader, comparison, [arm["name"] for arm in arms], untestable),
    }
    report = Report.model_validate(fields)
    advised = report.model_copy(update={"recommendation": recommend(reader, comparison, report.arms, report.run.arms)})
    return advised.model_copy(update={"notes": notes(advised)})


def _list_sources(reader: Reader) -> dict[str, str]:
    """Where images come from, by id; none where splits.csv was changed, which `verify` and the tables name."""
    try:
        return {image: file.name for image, file in read_source_files(reader).items() if file.name not in ("", image)}
    except RunFolderError:
        return {}


def costs(reader: Reader) -> Costs:
    """What outside services cost, from the ledger of paid calls."""
    spending = CallLedger(reader.ledger, reader.blobs).spending()
    days = [str(price["date"]) for price in spending.prices]
    return Costs(
        usd=(spending.settled - spending.assumed) / PICO,
        calls=spending.replies,
        unanswered=spending.unanswered,
        unreported=spending.unreported,
        unknown_usd=(spending.open + spending.assumed) / PICO,
        price_date=max(days, default=None),
        overruns=tuple(
            Overrun(model=one.model, usd=one.over / PICO, ratio=float(one.ratio)) for one in spending.models if one.over
        ),
    )


def _plugins(reader: Reader) -> dict[str, Any]:
    known: dict[str, Any] | None = reader.get_fact(PLUGINS)
    plugins = {**(known or {})}
    stages = [stage for stage in reader.stages() if stage.kind == StageKind.FIT]
    told = [note for stage in stages for row in reader.rows(stage) for note in row.get("notes", ())]
    if told:
        plugins["classifier"] = {**plugins["classifier"], "notes": list(dict.fromkeys(told))}
    return plugins


def _run(reader: Reader, engine: Mapping[str, Any]) -> dict[str, Any]:
    sessions = reader.get_fact(SESSIONS) or []
    finished = [session["ended"] for session in sessions if session["state"] == "finished"]
    return {
        "name": reader.folder.resolve().name,
        "started": sessions[0]["started"] if sessions else None,
        "finished": finished[-1] if finished else None,
        "duration_s": round(sum(session["seconds"] for session in sessions), 1),
        "resumed": max(0, len(sessions) - 1),
        "costs": costs(reader),
        "arms": list_arm_costs(reader),
        "agreement": price_agreement(reader),
        "hardware": {"cores": os.cpu_count(), "machine": platform.machine(), "system": platform.system()},
        "engine": {name: value for name, value in engine.items() if value is not None},
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _data(data: Mapping[str, Any], plugins: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    counts = {name: len(data.get(name, ())) for name in ("skipped", "dropped")}
    shown = ("labels", "counts", "guide_is_validation", "fingerprint", "warnings")
    drawn = any(plugin["drawn_world"] for plugin in plugins.values())
    return {**{name: data[name] for name in shown if name in data}, **counts, "drawn": drawn}


def _mistakes(reader: Reader, labels: Sequence[str], chosen: int) -> dict[str, Any]:
    mistakes, held = reader.get_fact(MISTAKES), reader.get_fact(HELD)
    pairs = sorted(mistakes or [], key=lambda pair: (-pair[2], pair))
    return {
        "found": sum(count for _, _, count in pairs),
        "guide_size": sum(len(row["ids"]) for row in reader.rows(PREDICT_GUIDE)),
        "chosen": chosen,
        "held": len(held or []),
        "by_pair": [{"label": labels[t], "predicted": labels[p], "count": count} for t, p, count in pairs],
    }


def _case_rows(
    reader: Reader, labels: Sequence[str], sources: Mapping[str, str], fixed_by: Mapping[str, list[str]]
) -> list[dict[str, Any]]:
    """One row a chosen mistake, as far as the run went."""
    explained: dict[str, ExplainRow] = {row["id"]: row for row in reader.rows(EXPLAIN)}
    critiques: dict[str, CritiqueRow] = {row["id"]: row for row in reader.rows(CRITIQUE)}
    images = _images_by_case(reader)
    return [
        {
            **_case(labels, case, explained.get(case["id"]), critiques.get(case["id"])),
            "path": sources.get(case["id"]),
            "fixed_by": fixed_by.get(case["id"], []),
            "images": images.get(case["id"], []),
        }
        for case in reader.rows(CASES)
    ]


def _case(
    labels: Sequence[str],
    case: CaseRow,
    explained: ExplainRow | None,
    critique: CritiqueRow | None,
) -> dict[str, Any]:
    heatmap = (explained and explained["predicted"]) or {}
    critique = critique or {}
    failures = [
        {"stage": str(stage), **row["failure"]}
        for stage, row in ((StageKind.EXPLAIN, heatmap), (StageKind.CRITIQUE, critique))
        if "failure" in row
    ]
    return {
        "id": case["id"],
        "label": labels[case["label"]],
        "predicted": labels[case["predicted"]],
        "probability": case["probability"],
        "image": explained["image"]["blob"] if explained else None,
        "panel": _blob(critique, "panel"),
        "heatmap": _blob(heatmap, "heatmap"),
        "method": heatmap.get("method", ""),
        "class_specific": heatmap.get("class_specific"),
        "degenerate": heatmap.get("degenerate", False),
        "critique": critique.get("critique"),
        "critique_slice": critique.get("slice", ""),
        "votes": list_votes(critique),
        "failures": failures,
    }


def _slices(row: SlicesRow, tested: Iterable[CauseRow]) -> dict[str, Any]:
    """What the search for slices came to, and the tests of what their names state."""
    verdicts = {case: _cause(one) for one in tested for case in one["verdict"]["cases"]}  # slices share no case
    slices = {
        name: [
            {**one, "verdict": next((verdicts[case] for case in one["cases"] if case in verdicts), None)}
            for one in found
        ]
        for name, found in (("slices", row["slices"]), ("unconfirmed", row["unconfirmed"]))
    }
    contrast = [{"id": one["id"], "image": one["image"]["blob"]} for one in row["contrast"]]
    return {**row, **slices, "contrast": contrast}


def _cause(row: CauseRow) -> dict[str, Any]:
    """What one slice's test came to."""
    images = {name: [_edited(image) for image in row[source]] for name, source in _GROUPS}
    return {**row["verdict"], **images}


def _edited(image: EditedImageRow) -> dict[str, Any]:
    return {
        "id": image["id"],
        "before": image["before"]["blob"],
        "after": image["after"]["blob"],
        "elsewhere": image["elsewhere"]["blob"],
        "right": image["right"],
    }


def _blob(row: Mapping[str, Any], name: str) -> str | None:
    blob: str | None = row[name]["blob"] if row.get(name) else None
    return blob


def _images_by_case(reader: Reader) -> dict[str, list[dict[str, Any]]]:
    arms_by_blob: dict[str, set[str]] = defaultdict(set)
    for entry in reader.get_fact(IMAGES) or []:
        for blob in entry["used"]:
            arms_by_blob[blob].update(entry["arms"])
    images: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for seed, row, verdict_row in _images(reader):
        image = _blob(row, "image")
        images[row["case"]].append(
            {
                "index": row["index"],
                "seed": row["seed"],
                "blob": image,
                "kept": verdict_row["kept"],
                "check": verdict_row["check"] or "",
                "reason": verdict_row["reason"] or "",
                "prompt": row["prompt"],
                "dropped": row.get("dropped", []),
                "arms": sorted(arms_by_blob.get(image or "", ())) if verdict_row["kept"] else [],
                "experiment_seed": seed,
            }
        )
    return images


def _images(reader: Reader) -> Iterator[tuple[int, SynthesisRow, VerdictRow]]:
    """Seed, synthesis row and verdict of every image that was made or asked for, in order."""
    stages = reader.stages()
    for stage in stages:
        # Rounds before the last only lead to the baseline of the report; the parts of other seeds belong to it.
        if stage.kind == StageKind.SYNTHESIZE and not stage.of_early_round:
            wave = Wave.of(stage)
            last = next(kind for kind in VERDICTS if kind == StageKind.CURATE or wave.stage(kind) in stages)
            verdicts = reader.rows(wave.stage(last))
            for row, verdict_row in zip(reader.rows(stage), verdicts, strict=False):
                yield wave.seed, row, verdict_row


def _image_summary(reader: Reader, labels: Sequence[str]) -> dict[str, Any]:
    """How many images were asked for, made, kept and rejected, and how many of each class an arm trains on."""
    images = list(_images(reader))
    made = [(row, verdict_row) for _, row, verdict_row in images if "image" in row]
    used = reader.get_fact(IMAGES) or []
    return {
        "asked": len(images),
        "made": len(made),
        "failed": len(images) - len(made),
        "kept": sum(verdict_row["kept"] for _, verdict_row in made),
        "rejected": dict(sorted(Counter(one["check"] for _, one in made if not one["kept"]).items())),
        "used": {label: used[0]["count"].get(label, 0) for label in labels} if used else {},
        **summarise_edits([row.get("details", {}) for row, _ in made]),
        "unchecked": sum("failure" in verdict_row for _, verdict_row in made),
        "judge": reader.get_fact(JUDGED_BY),
        "review": reader.get_fact(REVIEWED),
        "sources": [{"arms": entry["arms"], **entry["source"]} for entry in _first_of_each_source(used)],
    }


def summarise_edits(details: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How far a service kept to the masks of its edits, and whether the photos' own pixels were put back."""
    changed = [one["changed_outside"] for one in details if isinstance(one.get("changed_outside"), int | float)]
    kept = all(one.get("kept_outside", True) for one in details)
    return {"changed_outside": median(changed) if changed else None, "kept_outside": kept}


def _first_of_each_source(used: Sequence[ImagesFact]) -> list[ImagesFact]:
    return list({entry["name"]: entry for entry in used}.values())
