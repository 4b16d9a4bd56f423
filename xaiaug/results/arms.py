"""The arms of a report: how each was trained, and what it reached on test."""

from __future__ import annotations

from typing import Any

from ..metrics import evaluate
from ..store import Reader
from .predictions import accuracy_of, predicted, seeds_of


def arm_rows(reader: Reader, labels: tuple[str, ...]) -> list[dict[str, Any]]:
    """One row an arm, each with its seeds; scores are None where test was not looked at."""
    used = reader.fact("images") or []
    return [_arm(reader, labels, told, used) for told in reader.fact("arms") or []]


def _arm(reader: Reader, labels: tuple[str, ...], told: dict[str, Any], used: list[dict[str, Any]]) -> dict[str, Any]:
    arm, recipe = told["arm"], told["recipe"]
    name = arm["name"]
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
        "seeds": [_seed(reader, labels, name, seed) for seed in seeds_of(reader, name)],
    }


def _seed(reader: Reader, labels: tuple[str, ...], arm: str, seed: int) -> dict[str, Any]:
    row = next(reader.rows(f"fit/{arm}/{seed}"), None)
    return {
        "seed": seed,
        "metrics": _scores(reader, labels, arm, seed),
        "history": _history(reader, name_and_seed=f"{arm}:{seed}", told=row["history"]) if row else {},
        "model": row["model"]["folder"] if row else None,
    }


def _history(reader: Reader, name_and_seed: str, told: dict[str, Any]) -> dict[str, Any]:
    along = [accuracy_of(reader, f"predict/curve:{name_and_seed}:{step}") for step in told["steps"]]
    return {**told, "test_accuracy": along if any(value is not None for value in along) else ()}


def _scores(reader: Reader, labels: tuple[str, ...], arm: str, seed: int) -> dict[str, Any] | None:
    found = predicted(reader, arm, seed)
    return None if found is None else evaluate(found.labels, found.probabilities, labels, found.groups).to_json()
