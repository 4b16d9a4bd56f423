"""AUROC and average precision, one class against the rest: of one set of predictions, or of many bootstrap draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.integer[Any]]
Probabilities = NDArray[np.floating[Any]]
Counts = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]


def auroc(labels: Labels, probabilities: Probabilities) -> float:
    """Mean area under the ROC curve over the classes present, each against the rest; NaN for a single class.

    Args:
        labels: n.
        probabilities: n k.
    """
    from sklearn.metrics import roc_auc_score

    return _mean_over_classes(roc_auc_score, labels, probabilities)


def average_precision(labels: Labels, probabilities: Probabilities) -> float:
    """Mean average precision over the classes present, each against the rest; NaN for a single class.

    Args:
        labels: n.
        probabilities: n k.
    """
    from sklearn.metrics import average_precision_score

    return _mean_over_classes(average_precision_score, labels, probabilities)


def auroc_of_draws(labels: Labels, probabilities: Probabilities, counts: Counts) -> Floats:
    """b: `auroc` of each draw of the images.

    Args:
        labels: n.
        probabilities: n k.
        counts: b n, how often each draw contains each image.
    """
    return _mean_over_classes_of_draws(_area, labels, probabilities, counts)


def average_precision_of_draws(labels: Labels, probabilities: Probabilities, counts: Counts) -> Floats:
    """b: `average_precision` of each draw of the images.

    Args:
        labels: n.
        probabilities: n k.
        counts: b n, how often each draw contains each image.
    """
    return _mean_over_classes_of_draws(_precision, labels, probabilities, counts)


def _one_against_rest(score: Callable[..., Any], labels: Labels, probabilities: Probabilities) -> list[Any]:
    """The score of each class present: of whether an image is of the class, and the probability of the class."""
    return [score(labels == index, probabilities[:, index]) for index in np.unique(labels)]


def _mean_over_classes(score: Callable[..., float], labels: Labels, probabilities: Probabilities) -> float:
    if len(np.unique(labels)) < 2:
        return float("nan")
    return float(np.mean(_one_against_rest(score, labels, probabilities)))


def _mean_over_classes_of_draws(
    score: Callable[[Floats, Floats], Floats], labels: Labels, probabilities: Probabilities, counts: Counts
) -> Floats:
    def score_draws(positive: NDArray[np.bool_], values: Probabilities) -> Floats:
        positives, negatives = _count_by_threshold(positive, values, counts)
        # Without positives or negatives a draw has no curve for the class, and the class does not count in its mean.
        defined = (positives.sum(1) > 0) & (negatives.sum(1) > 0)
        scores = np.full(len(counts), np.nan)
        scores[defined] = score(positives[defined], negatives[defined])
        return scores

    by_class = np.stack(_one_against_rest(score_draws, labels, probabilities))
    classes = (~np.isnan(by_class)).sum(0)
    empty = np.full(len(counts), np.nan)
    mean: Floats = np.divide(np.nansum(by_class, axis=0), classes, out=empty, where=classes > 0)
    return mean


def _count_by_threshold(positive: NDArray[np.bool_], values: Probabilities, counts: Counts) -> tuple[Floats, Floats]:
    """b t: positive and negative images at each distinct value, highest first."""
    order = np.argsort(-values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=np.inf))
    ordered, is_positive = counts[:, order].astype(np.float64), positive[order]
    positives: Floats = np.add.reduceat(ordered * is_positive, starts, axis=1)
    negatives: Floats = np.add.reduceat(ordered * ~is_positive, starts, axis=1)
    return positives, negatives


def _area(positives: Floats, negatives: Floats) -> Floats:
    below = negatives.sum(1, keepdims=True) - negatives.cumsum(1)
    area: Floats = (positives * (below + negatives / 2)).sum(1) / (positives.sum(1) * negatives.sum(1))
    return area


def _precision(positives: Floats, negatives: Floats) -> Floats:
    true = positives.cumsum(1)
    predicted = true + negatives.cumsum(1)
    precision = np.divide(true, predicted, out=np.zeros_like(true), where=predicted > 0)
    mean: Floats = (positives * precision).sum(1) / positives.sum(1)
    return mean
