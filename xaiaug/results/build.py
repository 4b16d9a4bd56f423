"""Builds the report of a run from its ledger."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ..report import Report
from ..store import Reader
from .arms import arm_rows
from .cases import case_rows
from .costs import costs
from .images import image_summary
from .notes import notes
from .verdict import verdict

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
