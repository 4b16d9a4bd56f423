"""Builds the report of a run from its ledger."""

from __future__ import annotations

import os
import platform
from collections import Counter, defaultdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ..records import PICO
from ..report import Report
from ..report.schema_report import Costs
from ..store import CallLedger, Reader, parse_stage
from .notes import notes
from .predictions import arm_rows
from .verdict import verdict


def case_rows(reader: Reader, labels: tuple[str, ...]) -> list[dict[str, Any]]:
    """One row a chosen mistake, as far as the run went."""
    explained = {row["id"]: row for row in reader.rows("explain")}
    critiques = {row["id"]: row for row in reader.rows("critique")}
    images = _images(reader)
    return [
        _case(labels, told, explained.get(told[0], {}), critiques.get(told[0], {}), images.get(told[0], []))
        for told in reader.rows("cases")
    ]


def image_stages(reader: Reader) -> list[tuple[int, Any, Any]]:
    """Seed, synthesis row and verdict of every image that was made or asked for, in order."""
    found = []
    for stage in reader.stages():
        part, kind, rest = parse_stage(stage)
        # Earlier rounds only lead to the baseline that is told of; the parts of other seeds belong to it.
        if kind == "synthesize" and not part.startswith("round-"):
            seed = int(rest.rsplit("/", 2)[1])
            reviewed, curated = (stage.replace("synthesize/", f"{name}/", 1) for name in ("review", "curate"))
            verdicts = reader.rows(reviewed if reviewed in reader.stages() else curated)
            pairs = zip(reader.rows(stage), verdicts, strict=False)
            found += [(seed, row, verdict) for row, verdict in pairs]
    return found


def _case(labels: tuple[str, ...], told: list[Any], explained: Any, critique: Any, images: list[Any]) -> dict[str, Any]:
    id_, label, predicted, probability = told
    made = explained.get("predicted") or {}
    failures = [
        {"stage": stage, **row["failure"]}
        for stage, row in (("explain", made), ("critique", critique))
        if "failure" in row
    ]
    return {
        "id": id_,
        "label": labels[label],
        "predicted": labels[predicted],
        "probability": probability,
        "image": _blob(explained, "image"),
        "panel": _blob(critique, "panel"),
        "heatmap": _blob(made, "heatmap"),
        "method": made.get("method", ""),
        "degenerate": made.get("degenerate", False),
        "critique": critique.get("critique"),
        "failures": failures,
        "images": images,
    }


def _blob(row: Any, name: str) -> str | None:
    return row[name]["blob"] if row.get(name) else None


def _images(reader: Reader) -> dict[str, list[dict[str, Any]]]:
    users: dict[str, set[str]] = defaultdict(set)
    for told in reader.fact("images") or []:
        for blob in told["used"]:
            users[blob].update(told["arms"])
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for seed, row, decision in image_stages(reader):
        blob = _blob(row, "image")
        found[row["case"]].append(
            {
                "index": row["index"],
                "seed": row["seed"],
                "blob": blob,
                "kept": decision["kept"],
                "check": decision["check"] or "",
                "reason": decision["reason"] or "",
                "prompt": row["prompt"],
                "dropped": row.get("dropped", []),
                "arms": sorted(users.get(blob or "", ())) if decision["kept"] else [],
                "experiment_seed": seed,
            }
        )
    return found


def costs(reader: Reader) -> Costs:
    """From the ledger of paid calls."""
    spent = CallLedger(reader.ledger, reader.blobs).spending()
    days = [str(price["date"]) for price in spent.prices]
    return Costs(
        usd=spent.settled / PICO,
        calls=spent.replies,
        unanswered=spent.unanswered,
        unknown_usd=spent.open / PICO,
        price_date=max(days, default=None),
    )


def image_summary(reader: Reader, labels: tuple[str, ...]) -> dict[str, Any]:
    """How many images were asked for, made, kept and rejected, and how many of each class an arm trains on."""
    rows = image_stages(reader)
    made = [(row, verdict) for _, row, verdict in rows if "image" in row]
    told = reader.fact("images") or []
    return {
        "asked": len(rows),
        "made": len(made),
        "failed": len(rows) - len(made),
        "kept": sum(verdict["kept"] for _, verdict in made),
        "rejected": dict(sorted(Counter(verdict["check"] for _, verdict in made if not verdict["kept"]).items())),
        "used": {label: told[0]["count"].get(label, 0) for label in labels} if told else {},
        "judge": reader.fact("judge"),
        "review": reader.fact("review"),
        "sources": [{"arms": images["arms"], **images["source"]} for images in _distinct(told)],
    }


def _distinct(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({images["name"]: images for images in told}.values())


DRAWN = "xaiaug.plugins.synthesizers.petworld."
COMPARISON = {"primary": ["generated+training", "continued"], "metric": "accuracy", "smallest_effect": 0.5}
PACKAGES = ("xaiaug", "torch", "transformers", "numpy", "pillow", "scikit-learn")


def build(reader: Reader) -> Report:
    """The report of a run as far as it went; equal runs differ in `run` alone."""
    data, until = reader.fact("data") or {"labels": []}, reader.fact("until") or "report"
    plugins = reader.fact("plugins") or {}
    labels = tuple(data["labels"])
    arms = arm_rows(reader, labels)
    cases = case_rows(reader, labels)
    images = image_summary(reader, labels)
    mistakes = _mistakes(reader, labels, len(cases))
    drawn = plugins.get("synthesizer", {}).get("implementation", "").startswith(DRAWN)
    fields = {
        "run": _run(reader),
        "settings": reader.fact("settings") or {},
        "until": until,
        "complete": reader.fact("reached") == until,
        "data": {**_data(data, drawn), "test_seen": reader.fact("test_seen") or 0},
        "plugins": plugins,
        "arms": arms,
        "left_out": reader.fact("left_out") or [],
        "mistakes": mistakes,
        "rounds": reader.fact("rounds") or (),
        "maps": next(reader.rows("faithfulness/summary"), None),
        "cases": cases,
        "images": images,
        "verdict": verdict(reader, reader.fact("comparison") or COMPARISON, [arm["name"] for arm in arms]),
    }
    report = Report.model_validate(fields)
    return report.model_copy(update={"notes": notes(report)})


def _run(reader: Reader) -> dict[str, Any]:
    sessions = reader.fact("sessions") or []
    finished = [session["ended"] for session in sessions if session["state"] == "finished"]
    return {
        "name": reader.folder.resolve().name,
        "started": sessions[0]["started"] if sessions else None,
        "finished": finished[-1] if finished else None,
        "duration_s": round(sum(session["seconds"] for session in sessions), 1),
        "resumed": max(0, len(sessions) - 1),
        "costs": costs(reader),
        "hardware": {"cores": os.cpu_count(), "machine": platform.machine(), "system": platform.system()},
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _data(data: dict[str, Any], drawn: bool) -> dict[str, Any]:
    counted = {name: len(data.get(name, ())) for name in ("skipped", "dropped")}
    told = ("labels", "counts", "guide_is_validation", "fingerprint", "warnings")
    return {**{name: data[name] for name in told if name in data}, **counted, "drawn": drawn}


def _mistakes(reader: Reader, labels: tuple[str, ...], chosen: int) -> dict[str, Any]:
    pairs = sorted(reader.fact("mistakes") or [], key=lambda pair: (-pair[2], pair))
    size = sum(len(row["ids"]) for row in reader.rows("predict/guide"))
    held = len(reader.fact("held") or ())
    by_pair = [{"label": labels[t], "predicted": labels[p], "count": n} for t, p, n in pairs]
    return {
        "found": sum(n for _, _, n in pairs),
        "guide_size": size,
        "chosen": chosen,
        "held": held,
        "by_pair": by_pair,
    }
