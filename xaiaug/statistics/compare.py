"""Compares two training conditions by their predictions on the same test images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
from .worst_group import estimate_worst_group

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
        by_seed: each seed's difference.
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
        """Difference over all seeds, in units of the score."""
        return float(np.mean(self.by_seed)) if self.estimate is None else self.estimate.difference


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
        a: s n k, probabilities, or s n, predicted classes, of each seed.
        b: likewise, of the same shape.
        metric: "accuracy", "balanced-accuracy", "macro-f1", "auroc", "average-precision", "worst-class" or
            "worst-group".
        groups: n, a value of each image, such as its place, for "worst-group"; each combination of value and class is
            a group.
        smallest_group: fewest images of a group that may be the worst.

    Returns:
        The comparison; its interval is over both seeds and images: mean ± t · sqrt(variance over seeds / s +
        variance over images / n), with Satterthwaite's degrees of freedom; for the worst group or class
        simultaneous over the groups (`WorstGroupEstimate.interval`).

    Raises:
        DataError: shapes differ.
        ConfigError: the metric is unknown, or needs groups and there are none.
    """
    truth = np.asarray(labels)
    one, other = (_to_probabilities(value, truth, name) for value, name in ((a, "a"), (b, "b")))
    if one.shape != other.shape:
        raise DataError(f"compare_predictions: a and b must have the same shape, got {one.shape} and {other.shape}")
    if groups is not None and len(groups) != len(truth):
        raise DataError(f"compare_predictions: needs a group for each of {len(truth)} images, got {len(groups)}")
    values = None if groups is None else [{"group": str(value)} for value in groups]
    return compare(truth, one, other, Scorer(metric), form_groups(truth, values, smallest_group).large)


def compare(
    labels: Labels, a: NDArray[Any], b: NDArray[Any], scorer: Scorer, groups: NDArray[Any] | None = None
) -> Comparison:
    """As `compare_predictions`, for checked arguments: probabilities are s n k, groups are numbers from 0."""
    seeds = range(len(a))
    by_seed = np.array([scorer.score(labels, b[s], groups) - scorer.score(labels, a[s], groups) for s in seeds])
    before, after = (value.argmax(2) == labels for value in (a, b))
    estimate, crossed = _estimate(labels, a, b, scorer, groups, by_seed) if len(a) > 1 else (None, None)
    return Comparison(
        scorer.metric,
        estimate,
        tuple(float(value) for value in by_seed),
        crossed,
        tuple(count_flips(*pair) for pair in zip(before, after, strict=True)),
    )


def _estimate(
    labels: Labels,
    a: NDArray[Any],
    b: NDArray[Any],
    scorer: Scorer,
    groups: NDArray[Any] | None,
    by_seed: NDArray[np.float64],
) -> tuple[UncertainDifference, tuple[float, float] | None]:
    """The estimate for at least two seeds, and the interval of its bootstrap where one holds."""
    generator = np.random.default_rng(0)
    if scorer.is_worst:
        members = scorer.find_groups(labels, groups)
        return estimate_worst_group(a.argmax(2) == labels, b.argmax(2) == labels, members), None
    if scorer.is_mean:
        pairs = zip(a, b, strict=True)
        values = np.stack([scorer.score_images(labels, y) - scorer.score_images(labels, x) for x, y in pairs])
        draws = _bootstrap_seeds_and_images(values, generator)
        return estimate_from_means(values), _central(draws)
    table = _bootstrap_images(labels, a, b, scorer, groups, generator)
    draws = _bootstrap_seeds(table, generator)
    return estimate_from_draws(by_seed, table.mean(axis=1), len(labels)), _central(draws)


def _central(draws: NDArray[np.float64]) -> tuple[float, float]:
    return float(np.quantile(draws, 0.025)), float(np.quantile(draws, 0.975))


def _bootstrap_images(
    labels: Labels,
    a: NDArray[Any],
    b: NDArray[Any],
    scorer: Scorer,
    groups: NDArray[Any] | None,
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """b s: each seed's difference on each draw of the test images."""
    differences = []
    for _ in range(DRAWS // BLOCK):
        at = generator.integers(0, len(labels), (BLOCK, len(labels)))
        pairs = zip(a, b, strict=True)
        by_seed = [
            scorer.score_draws(labels, y, at, groups) - scorer.score_draws(labels, x, at, groups) for x, y in pairs
        ]
        differences.append(np.stack(by_seed, axis=1))
    return np.concatenate(differences)


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


def _to_probabilities(value: Any, labels: Labels, name: str) -> NDArray[Any]:
    given = np.asarray(value)
    if given.ndim == 2 and np.issubdtype(given.dtype, np.integer):
        given = np.eye(int(max(given.max(initial=0), labels.max(initial=0))) + 1, dtype=np.float32)[given]
    if given.ndim != 3 or given.shape[1] != len(labels) or not given.shape[0]:
        raise DataError(
            f"compare_predictions: {name} must be s n k (probabilities) or s n (classes) for {len(labels)} images, "
            f"got shape {given.shape}"
        )
    if labels.max(initial=0) >= given.shape[2]:
        raise DataError(f"compare_predictions: {name} has {given.shape[2]} classes, but a label is {labels.max()}")
    return given
