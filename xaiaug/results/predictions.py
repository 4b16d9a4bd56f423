"""Predictions of the test images, and the arms of a report with their scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, RunFolderError, suggest
from ..metrics import Grouping, evaluate, form_groups
from ..metrics.scores import Scorer
from ..records import METHODS
from ..records.pipeline import BASELINE, SMALLEST_GROUP, StageKind
from ..report.arm_table import ALWAYS_SHOWN
from ..statistics import Condition, find_worst_group
from ..store import Reader, StageName
from ..store.schema import (
    ARMS,
    COMPARISON,
    IMAGES,
    ArmFact,
    ImagesFact,
    fit_stage,
    predict_curve_stage,
    predict_mistakes_stage,
    predict_test_stage,
)
from ..store.stage_rows import FitRow, PredictionRow


@dataclass(frozen=True, eq=False)
class PredictionsOfTest:
    """Predictions of one classifier for the test images.

    Attributes:
        ids: n.
        labels: n.
        probabilities: n k.
        groups: of each image; None where none has any.
    """

    ids: list[str]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    groups: list[dict[str, str]] | None


@dataclass(frozen=True, eq=False)
class ArmPredictions:
    """Predictions of all classifiers of an arm for the test images.

    Attributes:
        ids: n.
        labels: n.
        grouping: the groups of the images.
        by_seed: n k, by seed.
    """

    ids: list[str]
    labels: NDArray[np.int64]
    grouping: Grouping
    by_seed: dict[int, NDArray[np.float32]]

    def condition(self, scorer: Scorer, seeds: Sequence[int] | None = None) -> Condition:
        """The predictions of some seeds, or all, as a training condition to score or compare.

        Args:
            scorer: of the metric.
            seeds: in order; an arm that was not trained has one classifier for every seed.
        """
        single = next(iter(self.by_seed.values()))
        chosen = [self.by_seed.get(seed, single) for seed in (self.by_seed if seeds is None else seeds)]
        return Condition(self.labels, np.stack(chosen), scorer, self.grouping.large)


def pair_seeds(arms: Sequence[ArmPredictions]) -> list[int]:
    """The seeds that all have; an arm that was not trained has one classifier for every seed."""
    trained = [arm.by_seed.keys() for arm in arms if len(arm.by_seed) > 1]
    if not trained:
        return sorted(set().union(*(arm.by_seed.keys() for arm in arms)))
    return sorted(set.intersection(*map(set, trained)))


def seeds_of(reader: Reader, arm: str) -> list[int]:
    """The seeds an arm was trained with."""
    names = (stage for stage in reader.stages() if stage.kind == StageKind.FIT and not stage.part)
    return sorted(int(seed) for name, seed in (stage.detail for stage in names) if name == arm)


def read_predictions(reader: Reader, arm: str, seed: int | None = None) -> PredictionsOfTest:
    """The predictions of one classifier.

    Args:
        reader: of the run.
        arm: its name.
        seed: of its training; None where there is one.

    Raises:
        ConfigError: there is no such arm or seed, or several seeds and none is named.
        RunFolderError: they are not complete.
    """
    names = [fact["arm"]["name"] for fact in reader.get_fact(ARMS) or []]
    seeds = seeds_of(reader, arm)
    if not seeds:
        raise ConfigError(f"predictions: the run has no arm {arm!r} that was trained. {suggest(arm, names)}")
    if (seed is None and len(seeds) > 1) or (seed is not None and seed not in seeds):
        asked = "name one" if seed is None else f"not {seed}"
        raise ConfigError(f"predictions: {arm} has the seeds {', '.join(map(str, seeds))}: {asked}")
    found = predictions_of(reader, arm, seeds[0] if seed is None else seed)
    if found is None:
        raise RunFolderError(
            f"the run has not predicted all test images with {arm}: rerun its command to resume, without until"
        )
    return found


def predictions_of(reader: Reader, arm: str, seed: int) -> PredictionsOfTest | None:
    """The predictions of one classifier; None where they are not complete."""
    return _read_predictions(reader, predict_test_stage(arm, seed))


def right_mistakes(reader: Reader, arm: str) -> list[str]:
    """Ids of the chosen mistakes that an arm gets right, in more than half of its seeds; none before it is trained."""
    stages = [predict_mistakes_stage(arm, seed) for seed in seeds_of(reader, arm)]
    found = [predictions for stage in stages if (predictions := _read_predictions(reader, stage)) is not None]
    if not found or len(found) < len(stages):
        return []
    right = np.mean([one.probabilities.argmax(axis=1) == one.labels for one in found], axis=0)
    return list(compress(found[0].ids, right > 0.5))


def accuracy_of(reader: Reader, stage: StageName) -> float | None:
    """Share of right predictions of a stage; None where it is not complete."""
    predictions = _read_predictions(reader, stage)
    if predictions is None:
        return None
    return float((predictions.probabilities.argmax(axis=1) == predictions.labels).mean())


def _read_predictions(reader: Reader, stage: StageName) -> PredictionsOfTest | None:
    rows: list[PredictionRow] = list(reader.rows(stage))
    _, total = reader.stages().get(stage, ([], 0))
    # Scores of some of the test images are never shown as those of all.
    if not rows or sum(len(row["ids"]) for row in rows) < total:
        return None
    labels = np.array([label for row in rows for label in row["labels"]], dtype=np.int64)
    probabilities = np.concatenate([reader.blobs.array(row["probabilities"]["blob"]) for row in rows])
    if probabilities.ndim != 2 or len(probabilities) != len(labels) or not np.isfinite(probabilities).all():
        raise RunFolderError(
            f"{stage}: the predictions of {len(labels)} images have the shape {probabilities.shape}; no run writes such"
        )
    groups = [group for row in rows for group in row.get("groups") or [{}] * len(row["ids"])]
    ids = [image for row in rows for image in row["ids"]]
    return PredictionsOfTest(ids, labels, probabilities, groups if any(groups) else None)


def arm_predictions(reader: Reader, arm: str) -> ArmPredictions | None:
    """The predictions of all seeds of an arm; None where one is missing."""
    by_seed = {seed: predictions_of(reader, arm, seed) for seed in seeds_of(reader, arm)}
    complete = {seed: predictions for seed, predictions in by_seed.items() if predictions is not None}
    if not complete or len(complete) < len(by_seed):
        return None
    first = next(iter(complete.values()))
    probabilities = {seed: predictions.probabilities for seed, predictions in complete.items()}
    grouping = form_groups(first.labels, first.groups, _smallest_group(reader))
    return ArmPredictions(first.ids, first.labels, grouping, probabilities)


def _smallest_group(reader: Reader) -> int:
    return int((reader.get_fact(COMPARISON) or {}).get("smallest_group", SMALLEST_GROUP))


def arm_rows(reader: Reader, labels: tuple[str, ...]) -> list[dict[str, Any]]:
    """One row an arm, each with its seeds; scores are None where test was not looked at."""
    used = reader.get_fact(IMAGES) or []
    baseline = arm_predictions(reader, BASELINE)
    return [_arm(reader, labels, trained, used, baseline) for trained in reader.get_fact(ARMS) or []]


def _arm(
    reader: Reader,
    labels: tuple[str, ...],
    trained: ArmFact,
    used: list[ImagesFact],
    baseline: ArmPredictions | None,
) -> dict[str, Any]:
    arm, recipe = trained["arm"], trained["recipe"]
    name = arm["name"]
    images = next((entry for entry in used if name in entry["arms"]), None)
    predictions = arm_predictions(reader, name)
    chosen = _scores_by_choice(reader, predictions)
    return {
        "name": name,
        "isolates": arm["isolates"],
        "advice": trained["advice"],
        "control": trained["control"],
        "trained": arm["real"] != "none" or arm["images"] is not None,
        "method": arm["method"],
        **_budget(recipe, trained["real"]),
        "used": trained["used"],
        "real": trained["real"],
        "added_share": trained["added_share"],
        "ratio_limit": trained["ratio_limit"],
        "ratio_warning": trained["ratio_warning"],
        "synthetic": images["count"] if images else {},
        "seeds": [
            {**_seed_row(reader, labels, name, seed), "chosen": chosen.get(seed)} for seed in seeds_of(reader, name)
        ],
        "worst_group": _worst_group(labels, predictions) if predictions else None,
        "changed": _list_changes(baseline, predictions) if name != BASELINE and baseline and predictions else None,
    }


def _budget(recipe: dict[str, Any], real: int) -> dict[str, Any]:
    """Steps and image passes of an arm; of one that trains its last layer alone each image is embedded once."""
    if METHODS[recipe["method"]].head_only:
        return {"head_only": True, "image_passes": real}
    return {
        "steps": recipe["steps"],
        "batch_size": recipe["batch_size"],
        "learning_rate": recipe["learning_rate"],
        "image_passes": recipe["steps"] * recipe["batch_size"],
    }


def _seed_row(reader: Reader, labels: tuple[str, ...], arm: str, seed: int) -> dict[str, Any]:
    row: FitRow | None = next(reader.rows(fit_stage(arm, seed)), None)
    return {
        "seed": seed,
        "metrics": _scores(reader, labels, arm, seed),
        "history": _history(reader, arm, seed, row["history"]) if row else {},
        "model": row["model"]["folder"] if row else None,
    }


def _history(reader: Reader, arm: str, seed: int, history: dict[str, Any]) -> dict[str, Any]:
    curve = [accuracy_of(reader, predict_curve_stage(arm, seed, step)) for step in history["steps"]]
    return {**history, "test_accuracy": curve if any(value is not None for value in curve) else ()}


def _scores(reader: Reader, labels: tuple[str, ...], arm: str, seed: int) -> dict[str, Any] | None:
    predictions = predictions_of(reader, arm, seed)
    if predictions is None:
        return None
    smallest = _smallest_group(reader)
    return evaluate(predictions.labels, predictions.probabilities, labels, predictions.groups, smallest).to_json()


def _scores_by_choice(reader: Reader, predictions: ArmPredictions | None) -> dict[int, float]:
    """The scores by the metric of the settings; empty where a column shows it in any case, or there is none yet."""
    metric = (reader.get_fact(COMPARISON) or {}).get("metric", "accuracy")
    if predictions is None or metric in ALWAYS_SHOWN:
        return {}
    if metric == "worst-group" and predictions.grouping.large is None:
        return {}
    scores = predictions.condition(Scorer(metric)).scores
    return dict(zip(predictions.by_seed, scores.tolist(), strict=True))


def _worst_group(labels: tuple[str, ...], predictions: ArmPredictions) -> dict[str, Any] | None:
    grouping = predictions.grouping
    if grouping.large is None:
        return None
    worst = find_worst_group(predictions.condition(Scorer("accuracy")).correct, grouping.large)
    attribute, value = grouping.describe(worst.group, labels)
    return {
        "attribute": attribute,
        "value": value,
        "n": grouping.sizes[worst.group],
        "accuracy": worst.accuracy,
        "low": worst.low,
        "high": worst.high,
    }


def _list_changes(baseline: ArmPredictions, predictions: ArmPredictions) -> dict[str, Any]:
    seeds = pair_seeds([baseline, predictions])
    before, after = (one.condition(Scorer("accuracy"), seeds).correct for one in (baseline, predictions))
    fixed, broken = ((~before & after).mean(axis=0) > 0.5, (before & ~after).mean(axis=0) > 0.5)
    return {
        "fixed": list(compress(predictions.ids, fixed)),
        "broken": list(compress(predictions.ids, broken)),
    }
