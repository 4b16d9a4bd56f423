"""Compares two runs arm by arm: paired by test image where both tested on the same ones, else not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..errors import RunFolderError
from ..statistics import Comparison, Scorer, compare, holm_adjust
from ..store import Reader
from ..store.schema import ARMS, COMPARISON, DATA
from .predictions import ArmPredictions, arm_predictions

METRIC = "accuracy"


@dataclass(frozen=True)
class ComparedArm:
    """One arm of both runs.

    Attributes:
        name: of the arm.
        seeds: of each run, those that are compared.
        scores: of each run, the mean over these seeds, 0 to 1.
        difference: of the second run over the first, on the same images; None where they are not paired.
        low, high: interval over seeds and test images, widened for the number of arms so that it agrees with `p`; None
            for fewer than two seeds.
        p: two-sided, adjusted for the number of arms by Holm's method; of one seed by McNemar's test, which tells two
            classifiers apart and not two ways of training.
        fixed, broken: test images that only the second run, or only the first, gets right, on average over the seeds.
    """

    name: str
    seeds: tuple[tuple[int, ...], tuple[int, ...]]
    scores: tuple[float, float]
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    fixed: float | None = None
    broken: float | None = None


@dataclass(frozen=True)
class RunComparison:
    """Two runs.

    Attributes:
        metric: of all scores.
        images: test images of each run.
        paired: whether both tested on the same images of the same classes.
        reason: why they are not paired; empty if they are.
        arms: those that both have.
        missing: of each run, the arms that only the other one has.
        remarks: what to know of the figures, a sentence each.
    """

    metric: str
    images: tuple[int, int]
    paired: bool
    reason: str
    arms: tuple[ComparedArm, ...]
    missing: tuple[tuple[str, ...], tuple[str, ...]]
    remarks: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The attributes, by name."""
        return asdict(self)


def compare_runs(first: Reader, second: Reader) -> RunComparison:
    """The second run over the first.

    Args:
        first: a run that looked at its test images.
        second: another one.

    Raises:
        RunFolderError: one of them has no complete predictions of test, or they have no arm in common.
    """
    runs = [_read(reader) for reader in (first, second)]
    names = [name for name in runs[0] if name in runs[1]]
    if not names:
        raise RunFolderError(
            f"{first.folder} and {second.folder} have no arm in common: {', '.join(runs[0])}, and {', '.join(runs[1])}"
        )
    metrics = [(reader.get_fact(COMPARISON) or {}).get("metric", METRIC) for reader in (first, second)]
    metric = metrics[0] if metrics[0] == metrics[1] else METRIC
    labels = [tuple((reader.get_fact(DATA) or {}).get("labels", ())) for reader in (first, second)]
    one, other = runs[0][names[0]], runs[1][names[0]]
    reason = _find_difference(one, other, labels)
    remarks = (
        [f"the runs are judged by {' and '.join(metrics)}: compared by {metric}"] if metrics[0] != metrics[1] else []
    )
    arms = [_score(name, runs[0][name], runs[1][name], metric) for name in names]
    compared = arms if reason else _compare_all(arms, runs, metric)
    return RunComparison(
        metric=metric,
        images=(len(one.ids), len(other.ids)),
        paired=not reason,
        reason=reason,
        arms=tuple(compared),
        missing=(_list_missing(runs[1], runs[0]), _list_missing(runs[0], runs[1])),
        remarks=(*remarks, *_remark_on_seeds(compared)),
    )


def _read(reader: Reader) -> dict[str, ArmPredictions]:
    names = [fact["arm"]["name"] for fact in reader.get_fact(ARMS) or []]
    found = {name: arm_predictions(reader, name) for name in names}
    complete = {name: predictions for name, predictions in found.items() if predictions is not None}
    if not complete:
        raise RunFolderError(
            f"{reader.folder} has no complete predictions of test images: its last session stopped earlier. Run "
            "it to the end first; finished work is not repeated"
        )
    return complete


def _list_missing(here: dict[str, ArmPredictions], there: dict[str, ArmPredictions]) -> tuple[str, ...]:
    return tuple(name for name in here if name not in there)


def _find_difference(one: ArmPredictions, other: ArmPredictions, labels: Sequence[tuple[str, ...]]) -> str:
    """Why the images of two runs cannot be paired; empty if they can."""
    if labels[0] != labels[1]:
        return f"their classes differ: {', '.join(labels[0])} and {', '.join(labels[1])}"
    ours, theirs = set(one.ids), set(other.ids)
    if ours != theirs:
        return (
            f"their test images differ: {len(ours & theirs):,} are in both, {len(ours - theirs):,} only in the first, "
            f"{len(theirs - ours):,} only in the second"
        )
    if (one.labels != other.labels[_order(one, other)]).any():
        return "some test images have another label in the second run"
    return ""


def _order(one: ArmPredictions, other: ArmPredictions) -> list[int]:
    """Where each image of the one is in the other."""
    places = {name: place for place, name in enumerate(other.ids)}
    return [places[name] for name in one.ids]


def _score(name: str, one: ArmPredictions, other: ArmPredictions, metric: str) -> ComparedArm:
    seeds = _pair_seeds(tuple(sorted(one.by_seed)), tuple(sorted(other.by_seed)))
    scores = [run.condition(Scorer(metric), each).scores.mean() for run, each in zip((one, other), seeds, strict=True)]
    return ComparedArm(name, seeds, (float(scores[0]), float(scores[1])))


def _compare_all(
    arms: Sequence[ComparedArm], runs: Sequence[Mapping[str, ArmPredictions]], metric: str
) -> list[ComparedArm]:
    """The arms with their differences; p-values and intervals are for all of them together."""
    found = [_compare(arm, runs[0][arm.name], runs[1][arm.name], metric) for arm in arms]
    adjusted = holm_adjust([one.estimate.p if one.estimate else one.flips[0].p for one in found])
    rows = []
    for arm, one, holm in zip(arms, found, adjusted, strict=True):
        low, high = one.estimate.interval(holm.level) if one.estimate else (None, None)
        fixed, broken = (float(np.mean([getattr(flips, name) for flips in one.flips])) for name in ("fixed", "broken"))
        rows.append(
            replace(arm, difference=one.difference, low=low, high=high, p=float(holm.p), fixed=fixed, broken=broken)
        )
    return rows


def _compare(arm: ComparedArm, one: ArmPredictions, other: ArmPredictions, metric: str) -> Comparison:
    order = _order(one, other)
    ordered = {seed: probabilities[order] for seed, probabilities in other.by_seed.items()}
    aligned = ArmPredictions(one.ids, one.labels, one.grouping, ordered)
    scorer = Scorer(metric)
    return compare(one.condition(scorer, arm.seeds[0]), aligned.condition(scorer, arm.seeds[1]))


def _pair_seeds(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The seeds that both have; where they have none in common, as many of each, in order."""
    common = tuple(seed for seed in one if seed in other)
    count = min(len(one), len(other))
    return (common, common) if common else (one[:count], other[:count])


def _remark_on_seeds(arms: Sequence[ComparedArm]) -> list[str]:
    remarks = []
    if any(arm.seeds[0] != arm.seeds[1] for arm in arms):
        remarks.append("the runs have no seed in common: images are paired, seeds are taken in order")
    if all(len(arm.seeds[0]) < 2 for arm in arms):
        remarks.append("one seed each: this compares two trained models, and says little about two ways of training")
    return remarks
