"""The metrics that training conditions are compared by; each score is a number from 0 to 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, suggest
from .ranking import (
    Floats,
    Labels,
    Probabilities,
    auroc,
    auroc_of_draws,
    average_precision,
    average_precision_of_draws,
)

Groups = NDArray[np.integer[Any]]


def accuracy(labels: Labels, probabilities: Probabilities) -> float:
    """Share of correct predictions."""
    return float((probabilities.argmax(1) == labels).mean())


def balanced_accuracy(labels: Labels, probabilities: Probabilities) -> float:
    """Mean recall over the classes present."""
    confusion = confusion_matrix(labels, probabilities)
    return mean_over_present(class_recall(confusion), confusion)


def macro_f1(labels: Labels, probabilities: Probabilities) -> float:
    """Mean F1 over the classes present; 0 for a class that is never predicted correctly."""
    confusion = confusion_matrix(labels, probabilities)
    return mean_over_present(class_f1(confusion), confusion)


def worst_class(labels: Labels, probabilities: Probabilities) -> float:
    """Recall of the class of lowest recall, of those present."""
    confusion = confusion_matrix(labels, probabilities)
    return float(class_recall(confusion)[confusion.sum(1) > 0].min())


def worst_group(labels: Labels, probabilities: Probabilities, groups: Groups | None) -> float:
    """Accuracy of the group of lowest accuracy.

    Args:
        labels: n.
        probabilities: n k.
        groups: n, numbers of the groups, from 0; -1 for images of none that counts.

    Raises:
        ConfigError: there are no groups.
    """
    groups = _check_groups(groups)
    correct = (probabilities.argmax(1) == labels).astype(float)
    inside = groups >= 0
    size = np.bincount(groups[inside])
    return float((np.bincount(groups[inside], correct[inside])[size > 0] / size[size > 0]).min())


def _check_groups(groups: Groups | None) -> Groups:
    if groups is None or not (groups >= 0).any():
        raise ConfigError(
            'metric = "worst-group" needs test images in groups of some size; use a manifest with group columns'
        )
    return groups


def confusion_matrix(labels: Labels, probabilities: Probabilities) -> NDArray[np.int_]:
    """k k: images by true class (rows) and predicted class (columns)."""
    classes = probabilities.shape[1]
    return np.bincount(labels * classes + probabilities.argmax(1), minlength=classes**2).reshape(classes, classes)


def class_precision(confusion: NDArray[np.int_]) -> Floats:
    """k: share of the predictions of each class that are correct; 0 for a class that is never predicted."""
    return _divide(np.diag(confusion), confusion.sum(0))


def class_recall(confusion: NDArray[np.int_]) -> Floats:
    """k: share of the images of each class that are predicted correctly; 0 for a class without images."""
    return _divide(np.diag(confusion), confusion.sum(1))


def class_f1(confusion: NDArray[np.int_]) -> Floats:
    """k: harmonic mean of precision and recall of each class; 0 for a class neither present nor predicted."""
    return _divide(2 * np.diag(confusion), confusion.sum(0) + confusion.sum(1))


def mean_over_present(scores: Floats, confusion: NDArray[np.int_]) -> float:
    """The mean of scores by class, k, over the classes that have images."""
    return float(scores[confusion.sum(1) > 0].mean())


def _divide(counts: NDArray[np.int_], totals: NDArray[np.int_]) -> Floats:
    shares: Floats = np.divide(counts, totals, out=np.zeros(len(counts)), where=totals > 0)
    return shares


_SCORES: dict[str, Callable[[Labels, Probabilities], float]] = {
    "accuracy": accuracy,
    "balanced-accuracy": balanced_accuracy,
    "macro-f1": macro_f1,
    "auroc": auroc,
    "average-precision": average_precision,
    "worst-class": worst_class,
}
METRICS = (*_SCORES, "worst-group")
_WORST = ("worst-class", "worst-group")
_MEANS = ("accuracy", "balanced-accuracy")  # means over images: their variance has a formula
# A ranking sorts the images: once for all draws of a bootstrap.
_OF_DRAWS = {"auroc": auroc_of_draws, "average-precision": average_precision_of_draws}


class Scorer:
    """Scorer predictions by one metric.

    Args:
        metric: a name in `METRICS`.

    Raises:
        ConfigError: there is no such metric.
    """

    def __init__(self, metric: str) -> None:
        if metric not in METRICS:
            raise ConfigError(f"there is no metric {metric!r}. {suggest(metric, METRICS)}")
        self.metric = metric

    @property
    def ranks(self) -> bool:
        """Whether it sorts the images by their probabilities, so that predicted classes do not do."""
        return self.metric in _OF_DRAWS

    @property
    def is_mean(self) -> bool:
        """Whether the metric is a mean over images."""
        return self.metric in _MEANS

    @property
    def is_worst(self) -> bool:
        """Whether the metric is the lowest accuracy of several groups."""
        return self.metric in _WORST

    def find_groups(self, labels: Labels, groups: Groups | None) -> Groups:
        """n: the groups that a metric takes the worst of: the classes, or the given ones.

        Raises:
            ConfigError: the metric needs groups and there are none.
        """
        return labels if self.metric == "worst-class" else _check_groups(groups)

    def score(self, labels: Labels, probabilities: Probabilities, groups: Groups | None = None) -> float:
        """The score, 0 to 1.

        Args:
            labels: n.
            probabilities: n k.
            groups: n, numbers of the groups, from 0, -1 for none; None without groups.

        Raises:
            ConfigError: the metric needs groups and there are none.
        """
        if self.metric == "worst-group":
            return worst_group(labels, probabilities, groups)
        return _SCORES[self.metric](labels, probabilities)

    def score_draws(self, labels: Labels, probabilities: Probabilities, draws: NDArray[np.integer[Any]]) -> Floats:
        """b: the score of each draw of the images, by a metric without groups.

        Args:
            labels: n.
            probabilities: n k.
            draws: b n, the images of each draw.
        """
        if self.ranks:
            counts = np.stack([np.bincount(draw, minlength=len(labels)) for draw in draws])
            return _OF_DRAWS[self.metric](labels, probabilities, counts)
        return np.array([self.score(labels[draw], probabilities[draw]) for draw in draws])

    def score_images(self, labels: Labels, probabilities: Probabilities) -> Floats:
        """n: the contribution of each image to a metric that is a mean, times n."""
        correct: Floats = (probabilities.argmax(1) == labels).astype(np.float64)
        return correct if self.metric == "accuracy" else correct * _balanced_weights(labels)


def _balanced_weights(labels: Labels) -> Floats:
    """n: weight of each image in balanced accuracy, mean 1."""
    sizes = np.bincount(labels)
    weights: Floats = len(labels) / ((sizes > 0).sum() * sizes[labels])
    return weights
