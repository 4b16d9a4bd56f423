"""What the classifiers of an arm said of the test images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..metrics import evaluate
from ..store import Reader


@dataclass(frozen=True, eq=False)
class Predicted:
    """What one classifier said of the test images.

    Attributes:
        labels: n.
        probabilities: n k.
        groups: of each image; None where none has any.
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    groups: list[dict[str, str]] | None


@dataclass(frozen=True, eq=False)
class Tested:
    """What all classifiers of an arm said of the test images.

    Attributes:
        labels: n.
        groups: n, a number for each combination of groups; None without groups.
        by_seed: n k, by seed.
    """

    labels: NDArray[np.int64]
    groups: NDArray[np.int64] | None
    by_seed: dict[int, NDArray[np.float32]]


def seeds_of(reader: Reader, arm: str) -> list[int]:
    """The seeds an arm was trained with."""
    return sorted(int(stage.split("/")[2]) for stage in reader.stages() if stage.startswith(f"fit/{arm}/"))


def predicted(reader: Reader, arm: str, seed: int) -> Predicted | None:
    """The predictions of one classifier; None where test was not looked at wholly."""
    return _read(reader, f"predict/test:{arm}:{seed}")


def accuracy_of(reader: Reader, stage: str) -> float | None:
    """Share of right predictions of a stage; None where it did not come to its end."""
    found = _read(reader, stage)
    return None if found is None else float((found.probabilities.argmax(axis=1) == found.labels).mean())


def _read(reader: Reader, stage: str) -> Predicted | None:
    rows = list(reader.rows(stage))
    _, total = reader.stages().get(stage, ([], 0))
    # Part of the test images is never shown as the whole.
    if not rows or sum(len(row["ids"]) for row in rows) < total:
        return None
    labels = np.array([label for row in rows for label in row["labels"]], dtype=np.int64)
    probabilities = np.concatenate([reader.blobs.array(row["probabilities"]["blob"]) for row in rows])
    groups = [group for row in rows for group in row.get("groups") or [{}] * len(row["ids"])]
    return Predicted(labels, probabilities, groups if any(groups) else None)


def tested(reader: Reader, arm: str) -> Tested | None:
    """The predictions of all seeds of an arm; None where one is missing."""
    found = {seed: predicted(reader, arm, seed) for seed in seeds_of(reader, arm)}
    whole = {seed: one for seed, one in found.items() if one is not None}
    if not whole or len(whole) < len(found):
        return None
    first = next(iter(whole.values()))
    return Tested(first.labels, _numbers(first.groups), {seed: one.probabilities for seed, one in whole.items()})


def _numbers(groups: list[dict[str, str]] | None) -> NDArray[Any] | None:
    if groups is None:
        return None
    names = [str(sorted(group.items())) for group in groups]
    return np.unique(names, return_inverse=True)[1]


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
