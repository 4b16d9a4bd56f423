"""Images that arms fix or break: the mistakes on guide that they get right, and the test images that they change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ..records.pipeline import BASELINE
from ..store import Reader
from .predictions import arm_predictions, right_mistakes


def mistakes_fixed_by(reader: Reader, arms: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The arms that get a chosen mistake right, by its id, in the order of the arms.

    Args:
        reader: of the run.
        arms: as in the report.
    """
    fixed: dict[str, list[str]] = defaultdict(list)
    for arm in arms:
        if arm["trained"]:
            for image_id in right_mistakes(reader, arm["name"]):
                fixed[image_id].append(arm["name"])
    return fixed


def changed_test_images(
    reader: Reader, arms: Sequence[Mapping[str, Any]], labels: Sequence[str], sources: Mapping[str, str]
) -> list[dict[str, Any]]:
    """One row for each test image that an arm fixes or breaks, in the order of the test images.

    Args:
        reader: of the run.
        arms: as in the report.
        labels: names of the classes.
        sources: where images come from, by id.
    """
    changes = {arm["name"]: arm["changed"] for arm in arms if arm["changed"]}
    baseline = arm_predictions(reader, BASELINE) if changes else None
    if baseline is None:
        return []
    by_id: dict[str, dict[str, list[str]]] = defaultdict(lambda: {"fixed_by": [], "broken_by": []})
    for name, changed in changes.items():
        for kind in ("fixed", "broken"):
            for image_id in changed[kind]:
                by_id[image_id][f"{kind}_by"].append(name)
    predicted = next(iter(baseline.by_seed.values())).argmax(axis=1)
    return [
        {
            "id": image_id,
            "path": sources.get(image_id),
            "label": labels[label],
            "predicted": labels[guess],
            **by_id[image_id],
        }
        for image_id, label, guess in zip(baseline.ids, baseline.labels.tolist(), predicted.tolist(), strict=True)
        if image_id in by_id
    ]
