"""What the classifiers of an arm said of the test images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
