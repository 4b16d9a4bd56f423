"""The metrics a comparison may be made by, from the predictions of several seeds on the same test images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, suggest
from . import ranking

Labels = NDArray[np.integer[Any]]
Probabilities = NDArray[np.floating[Any]]
Score = Callable[[Labels, Probabilities, "NDArray[Any] | None"], float]


def accuracy(labels: Labels, probabilities: Probabilities, _: Any = None) -> float:
    """Share of right predictions."""
    return float((probabilities.argmax(1) == labels).mean())


def balanced_accuracy(labels: Labels, probabilities: Probabilities, _: Any = None) -> float:
    """Mean recall over the classes that are present."""
    return float((image_weights(labels) * (probabilities.argmax(1) == labels)).mean())


def macro_f1(labels: Labels, probabilities: Probabilities, _: Any = None) -> float:
    """Mean F1 over the classes that are present; 0 for one that is never found."""
    classes = probabilities.shape[1]
    confusion = np.bincount(labels * classes + probabilities.argmax(1), minlength=classes**2).reshape(classes, classes)
    present = confusion.sum(1) > 0
    found, said, there = np.diag(confusion), confusion.sum(0), confusion.sum(1)
    return float((2 * found[present] / (said + there)[present]).mean())


def auroc(labels: Labels, probabilities: Probabilities, _: Any = None) -> float:
    """Mean area under the one-against-the-rest ROC curves of the classes that are present."""
    from sklearn.metrics import roc_auc_score

    return _one_against_rest(roc_auc_score, labels, probabilities)


def average_precision(labels: Labels, probabilities: Probabilities, _: Any = None) -> float:
    """Mean average precision, one class against the rest, of the classes that are present."""
    from sklearn.metrics import average_precision_score

    return _one_against_rest(average_precision_score, labels, probabilities)


def worst_group(labels: Labels, probabilities: Probabilities, groups: NDArray[Any] | None = None) -> float:
    """Accuracy of the group of lowest accuracy.

    Raises:
        ConfigError: the images have no groups.
    """
    if groups is None:
        raise ConfigError('metric = "worst-group" needs test images with groups; give them in a manifest')
    right = (probabilities.argmax(1) == labels).astype(float)
    size = np.bincount(groups)
    return float((np.bincount(groups, right)[size > 0] / size[size > 0]).min())


METRICS: dict[str, Score] = {
    "accuracy": accuracy,
    "balanced-accuracy": balanced_accuracy,
    "macro-f1": macro_f1,
    "auroc": auroc,
    "average-precision": average_precision,
    "worst-group": worst_group,
}
# A score of a ranking sorts the images: once for all draws of a bootstrap.
_RANKED = {"auroc": ranking.auroc, "average-precision": ranking.average_precision}
MEANS = ("accuracy", "balanced-accuracy")  # those that are means over images: their variance has a formula


def image_weights(labels: Labels) -> NDArray[np.float64]:
    """What each image counts in balanced accuracy: one over its class's share, over the number of classes; mean 1."""
    sizes = np.bincount(labels)
    found: NDArray[np.float64] = len(labels) / ((sizes > 0).sum() * sizes[labels])
    return found


class Scorer:
    """One metric, for predictions of any number of classes.

    Args:
        metric: a name in `METRICS`.

    Raises:
        ConfigError: there is no such metric.
    """

    def __init__(self, metric: str) -> None:
        if metric not in METRICS:
            raise ConfigError(f"there is no metric {metric!r}. {suggest(metric, METRICS)}")
        self.metric = metric
        self._score = METRICS[metric]

    @property
    def is_mean(self) -> bool:
        """Whether it is a mean over images."""
        return self.metric in MEANS

    def of(self, labels: Labels, probabilities: Probabilities, groups: NDArray[Any] | None = None) -> float:
        """The score, in 0 to 1.

        Args:
            labels: n.
            probabilities: n k.
            groups: n, numbers of the groups, from 0; None without.
        """
        return self._score(labels, probabilities, groups)

    def of_draws(
        self, labels: Labels, probabilities: Probabilities, at: NDArray[np.integer[Any]], groups: NDArray[Any] | None
    ) -> NDArray[np.float64]:
        """b: the score of each draw of the images.

        Args:
            labels: n.
            probabilities: n k.
            at: b n, the images of each draw.
            groups: n; None without.
        """
        if self.metric in _RANKED:
            counts = np.stack([np.bincount(row, minlength=len(labels)) for row in at])
            return _RANKED[self.metric](labels, probabilities, counts)
        some = (None if groups is None else groups[row] for row in at)
        return np.array([self.of(labels[row], probabilities[row], own) for row, own in zip(at, some, strict=True)])

    def by_image(self, labels: Labels, probabilities: Probabilities) -> NDArray[np.float64]:
        """n: what each image adds to a metric that is a mean, times n."""
        right: NDArray[np.float64] = (probabilities.argmax(1) == labels).astype(np.float64)
        return right if self.metric == "accuracy" else right * image_weights(labels)


def _one_against_rest(score: Callable[..., float], labels: Labels, probabilities: Probabilities) -> float:
    present = np.unique(labels)
    if len(present) < 2:
        return float("nan")
    return float(np.mean([score(labels == index, probabilities[:, index]) for index in present]))
