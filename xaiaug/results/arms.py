"""The arms of a report: how each was trained, and what it reached on test."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..metrics import evaluate
from ..store import Reader


def arm_rows(reader: Reader, labels: tuple[str, ...]) -> list[dict[str, Any]]:
    """One row an arm, each with its seeds; scores are None where test was not looked at."""
    used = reader.fact("images") or []
    return [_arm(reader, labels, told, used) for told in reader.fact("arms") or []]


def _arm(reader: Reader, labels: tuple[str, ...], told: dict[str, Any], used: list[dict[str, Any]]) -> dict[str, Any]:
    arm, recipe = told["arm"], told["recipe"]
    name = arm["name"]
    seeds = [int(stage.split("/")[2]) for stage in reader.stages() if stage.startswith(f"fit/{name}/")]
    mine = next((images for images in used if name in images["arms"]), None)
    return {
        "name": name,
        "isolates": arm["isolates"],
        "trained": arm["real"] != "none" or arm["images"] is not None,
        "steps": recipe["steps"],
        "batch_size": recipe["batch_size"],
        "learning_rate": recipe["learning_rate"],
        "image_passes": recipe["steps"] * recipe["batch_size"],
        "real": told["real"],
        "synthetic": mine["count"] if mine else {},
        "seeds": [_seed(reader, labels, name, seed) for seed in sorted(seeds)],
    }


def _seed(reader: Reader, labels: tuple[str, ...], arm: str, seed: int) -> dict[str, Any]:
    row = next(reader.rows(f"fit/{arm}/{seed}"), None)
    return {
        "seed": seed,
        "metrics": _scores(reader, labels, f"predict/test:{arm}:{seed}"),
        "history": row["history"] if row else {},
        "model": row["model"]["folder"] if row else None,
    }


def _scores(reader: Reader, labels: tuple[str, ...], stage: str) -> dict[str, Any] | None:
    rows = list(reader.rows(stage))
    _, total = reader.stages().get(stage, ([], 0))
    # Part of the test images is never shown as the whole.
    if not rows or sum(len(row["ids"]) for row in rows) < total:
        return None
    truth = np.array([label for row in rows for label in row["labels"]], dtype=np.int64)
    probabilities = np.concatenate([reader.blobs.array(row["probabilities"]["blob"]) for row in rows])
    return evaluate(truth, probabilities, labels).to_json()
