"""Compares two training conditions by their predictions on the same test images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..metrics.groups import form_groups
from ..metrics.ranking import Labels
from ..metrics.scores import Scorer
from ..records.pipeline import SMALLEST_GROUP
from .interval import UncertainDifference, estimate_from_draws, estimate_from_means
from .mcnemar import Flips, count_flips
from .worst_group import estimate_worst_group, find_worst_group

DRAWS, CROSSED_DRAWS = 500, 2000
_AT_ONCE = 2**15  # numbers drawn at once
BLOCK = 50  # draws at a time: memory grows with this times the images


@dataclass(frozen=True)
class Comparison:
    """The difference of condition `b` over condition `a`.

    Attributes:
        metric: the metric of both.
        estimate: mean difference over the seeds, with interval and p-value; None for fewer than two seeds. For the
            worst group or class it is of those of lowest mean accuracy over the seeds (`WorstGroupEstimate`).
        by_seed: each seed's difference; of the worst group or class on those of lowest mean accuracy.
        crossed: 95 % interval of a bootstrap over both seeds and images; None for fewer than two seeds, and for the
            worst group or class, whose bootstrap is biased.
        flips: images fixed and broken, for each seed.
    """

    metric: str
    estimate: UncertainDifference | None
    by_seed: tuple[float, ...]
    crossed: tuple[float, float] | None
    flips: tuple[Flips, ...]

    @property
    def difference(self) -> float:
        """Mean difference over the seeds, in units of the score."""
        return float(np.mean(self.by_seed))


def compare_predictions(
    labels: Sequence[int] | Labels,
    a: Any,
    b: Any,
    *,
    metric: str = "accuracy",
    groups: Sequence[Any] | None = None,
    smallest_group: int = SMALLEST_GROUP,
) -> Comparison:
    """The difference of `b` over `a` on the same test images, paired by seed.

    Args:
        labels: n, indices of the true classes.
        a: s n k, probabilities, or s n, predicted classes, of each seed; of one seed also n k, or n.
        b: likewise, with the same seeds and classes.
        metric: "accuracy", "balanced-accuracy", "macro-f1", "auroc", "average-precision", "worst-class" or
            "worst-group".
        groups: n, a value of each image, such as its place, for "worst-group"; each combination of value and class is
            a group.
        smallest_group: fewest images of a group that may be the worst.

    Returns:
        The comparison; its interval is over both seeds and images: mean ± t · sqrt(variance over seeds / s +
        variance over images / n), with Satterthwaite's degrees of freedom; for the worst group or class
        simultaneous over the groups (`WorstGroupEstimate.interval`). Of one seed there is no interval: `estimate` is
        None, and `flips` counts the images fixed and broken.

    Raises:
        DataError: labels are not indices of classes, the predictions do not match the images, seeds and classes, or a
            metric that ranks images got predicted classes.
        ConfigError: the metric is unknown, or needs groups and there are none.
    """
    truth = _read_labels(labels)
    read = [_read_predictions(value, truth, name) for value, name in ((a, "a"), (b, "b"))]
    if Scorer(metric).ranks and any(one.ndim == 2 for one in read):
        raise DataError(f"compare_predictions: {metric} ranks images by probabilities, and got predicted classes")
    most = max(int(truth.max()) + 1, *(one.shape[2] if one.ndim == 3 else int(one.max()) + 1 for one in read))
    one, other = (_to_probabilities(predictions, most) for predictions in read)
    for axis, what in ((0, "seeds"), (2, "classes")):
        if one.shape[axis] != other.shape[axis]:
            raise DataError(
                f"compare_predictions: seeds are paired, so a and b need the same {what}; a has {one.shape[axis]} "
                f"{what}, b {other.shape[axis]}"
            )
    if groups is not None and len(groups) != len(truth):
        raise DataError(f"compare_predictions: needs a group for each of {len(truth)} images, got {len(groups)}")
    values = None if groups is None else [{"group": str(value)} for value in groups]
    numbers, scorer = form_groups(truth, values, smallest_group).large, Scorer(metric)
    return compare(Condition(truth, one, scorer, numbers), Condition(truth, other, scorer, numbers))


@dataclass(frozen=True, eq=False)
class Condition:
    """The predictions of one training condition for the test images, and what is scored of them, once.

    Attributes:
        labels: n, indices of the true classes.
        probabilities: s n k, of each seed.
        scorer: of the metric.
        groups: n, numbers of the groups, from 0, -1 for none; None without groups.
    """

    labels: Labels
    probabilities: NDArray[Any]
    scorer: Scorer
    groups: NDArray[Any] | None = None

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """s: the score of each seed; of the worst group or class on that of lowest mean accuracy over the seeds."""
        if self.scorer.is_worst:
            members = self.scorer.find_groups(self.labels, self.groups)
            inside = members == find_worst_group(self.correct, members).group
            return np.asarray(self.correct[:, inside].mean(axis=1))
        return np.array([self.scorer.score(self.labels, one, self.groups) for one in self.probabilities])

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """s n: which predictions are correct."""
        hits: NDArray[np.bool_] = self.probabilities.argmax(2) == self.labels
        return hits

    @cached_property
    def contributions(self) -> NDArray[np.float64]:
        """s n: what each image adds to a metric that is a mean, times n."""
        return np.stack([self.scorer.score_images(self.labels, one) for one in self.probabilities])

    @cached_property
    def draws(self) -> NDArray[np.float64]:
        """b s: the scores on draws of the test images, the same draws for every condition."""
        generator, scores = np.random.default_rng(0), []
        for _ in range(DRAWS // BLOCK):
            at = generator.integers(0, len(self.labels), (BLOCK, len(self.labels)))
            by_seed = [self.scorer.score_draws(self.labels, one, at) for one in self.probabilities]
            scores.append(np.stack(by_seed, axis=1))
        return np.concatenate(scores)


def compare(one: Condition, other: Condition) -> Comparison:
    """The difference of the other condition over the one; both have the same labels, seeds, scorer and groups."""
    several = len(one.probabilities) > 1
    return Comparison(
        one.scorer.metric,
        estimate_difference(one, other) if several else None,
        tuple((other.scores - one.scores).tolist()),
        _cross(one, other) if several and not one.scorer.is_worst else None,
        tuple(count_flips(*pair) for pair in zip(one.correct, other.correct, strict=True)),
    )


def estimate_difference(one: Condition, other: Condition) -> UncertainDifference:
    """The estimate of `compare`, for at least two seeds."""
    if one.scorer.is_worst:
        return estimate_worst_group(one.correct, other.correct, one.scorer.find_groups(one.labels, one.groups))
    if one.scorer.is_mean:
        return estimate_from_means(other.contributions - one.contributions)
    drawn = (other.draws - one.draws).mean(axis=1)
    return estimate_from_draws(other.scores - one.scores, drawn, len(one.labels))


def _cross(one: Condition, other: Condition) -> tuple[float, float]:
    """The percentile interval of a bootstrap over both seeds and images."""
    generator = np.random.default_rng(0)
    if one.scorer.is_mean:
        draws = _bootstrap_seeds_and_images(other.contributions - one.contributions, generator)
    else:
        draws = _bootstrap_seeds(other.draws - one.draws, generator)
    return float(np.quantile(draws, 0.025)), float(np.quantile(draws, 0.975))


def _bootstrap_seeds(table: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    """Mean differences with the seeds drawn as well, from the differences on draws of the images (b s)."""
    seeds = table.shape[1]
    at = generator.integers(0, seeds, (CROSSED_DRAWS, seeds))
    rows = generator.integers(0, len(table), CROSSED_DRAWS)
    means: NDArray[np.float64] = np.take_along_axis(table[rows], at, axis=1).mean(axis=1)
    return means


def _bootstrap_seeds_and_images(values: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    """Mean differences on draws of both seeds and images, from contributions by seed and image (s n)."""
    seeds, images = values.shape
    bounds = np.repeat((seeds, images), (seeds, images))
    size = max(1, _AT_ONCE // len(bounds))
    means = []
    for start in range(0, CROSSED_DRAWS, size):
        at = generator.integers(0, np.broadcast_to(bounds, (min(size, CROSSED_DRAWS - start), len(bounds))))
        counts = (at[:, :seeds, None] == np.arange(seeds)).sum(axis=1)
        means.append(np.take_along_axis(counts @ values / seeds, at[:, seeds:], axis=1).mean(axis=1))
    return np.concatenate(means)


def _read_labels(labels: Sequence[int] | Labels) -> Labels:
    truth = np.asarray(labels)
    if truth.ndim != 1 or not truth.size or not np.issubdtype(truth.dtype, np.integer) or truth.min() < 0:
        raise DataError(
            "compare_predictions: labels must be indices of the true classes, n integers from 0, got "
            f"{truth.dtype} of shape {truth.shape}"
        )
    return truth


def _read_predictions(value: Any, labels: Labels, name: str) -> NDArray[Any]:
    """Predictions of all seeds: s n k, or s n for classes."""
    given = _add_seed(np.asarray(value), name)
    if not given.shape[0] or given.shape[1] != len(labels):
        raise DataError(
            f"compare_predictions: {name} has predictions of {given.shape[1]} images for {given.shape[0]} seeds, and "
            f"there are {len(labels)} labels"
        )
    if given.ndim == 2 and given.min() < 0:
        raise DataError(f"compare_predictions: {name} has the class {given.min()}; classes count from 0")
    if given.ndim == 3 and labels.max() >= given.shape[2]:
        raise DataError(f"compare_predictions: {name} has {given.shape[2]} classes, but a label is {labels.max()}")
    if not np.isfinite(given).all():
        raise DataError(f"compare_predictions: {name} has probabilities that are not finite")
    return given


def _to_probabilities(given: NDArray[Any], classes: int) -> NDArray[Any]:
    """Predictions as s n k: a predicted class as 1 for it and 0 for the others."""
    return given if given.ndim == 3 else np.eye(classes, dtype=np.float32)[given]


def _add_seed(given: NDArray[Any], name: str) -> NDArray[Any]:
    """Predictions with an axis of seeds: s n k, or s n for classes."""
    classes, numbers = (np.issubdtype(given.dtype, kind) for kind in (np.integer, np.floating))
    if (classes and given.ndim == 1) or (numbers and given.ndim == 2):
        return given[None]
    if (classes and given.ndim == 2) or (numbers and given.ndim == 3):
        return given
    raise DataError(
        f"compare_predictions: {name} must be probabilities (s n k, or n k of one seed) or predicted classes as "
        f"integers (s n, or n of one seed), got {given.dtype} of shape {given.shape}"
    )
