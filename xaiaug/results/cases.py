"""The mistakes of a report: each with its heatmap, critique and images."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from ..store import Reader, parted


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
        part, kind, rest = parted(stage)
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
    for seed, row, verdict in image_stages(reader):
        blob = _blob(row, "image")
        found[row["case"]].append(
            {
                "index": row["index"],
                "seed": row["seed"],
                "blob": blob,
                "kept": verdict["kept"],
                "check": verdict["check"] or "",
                "reason": verdict["reason"] or "",
                "prompt": row["prompt"],
                "dropped": row.get("dropped", []),
                "arms": sorted(users.get(blob or "", ())) if verdict["kept"] else [],
                "experiment_seed": seed,
            }
        )
    return found
