"""Evaluates one set of predictions: all metrics, by class and by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..records import JSON
from ..records.pipeline import SMALLEST_GROUP
from .groups import Grouping, form_groups
from .ranking import Labels, Probabilities, auroc
from .scores import (
    accuracy,
    balanced_accuracy,
    class_f1,
    class_precision,
    class_recall,
    confusion_matrix,
    macro_f1,
    mean_over_present,
)
from .temperature import scale_by_temperature

BINS = 15


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class.

    Attributes:
        name: the class.
        precision: share of its predictions that are correct, 0 if it is present but never predicted; None if it is
            neither present nor predicted.
        recall: share of its images that are predicted correctly; None without images.
        f1: harmonic mean of both; None without images.
        support: number of its images.
    """

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@dataclass(frozen=True)
class GroupScores:
    """The accuracy on the images of one group.

    Attributes:
        attribute: what it is a group by: the class, and names of attributes: "class × place".
        value: their values: "dog × indoor".
        n: its images.
        accuracy: share of correct predictions, 0 to 1.
    """

    attribute: str
    value: str
    n: int
    accuracy: float


@dataclass(frozen=True)
class Metrics:
    """The metrics of one set of predictions; shares are 0 to 1.

    Attributes:
        n: number of images.
        accuracy: share of correct predictions.
        accuracy_interval: its 95 % Wilson interval, over the choice of test images only.
        balanced_accuracy: mean recall over the classes present.
        precision: mean over the classes present (macro).
        recall: likewise; equal to `balanced_accuracy`.
        f1: likewise.
        log_loss: mean negative logarithm of the true class's probability, in nats.
        calibration_error: expected calibration error: mean distance between confidence and accuracy over 15
            equal-width bins of confidence, weighted by their images (arXiv 1706.04599).
        scaled_calibration_error: likewise after temperature scaling, cross-fitted over halves of the images.
        roc_auc: mean area under the ROC curve, each class present against the rest; None for a single class.
        classes: each class, in the order of the labels.
        confusion: rows are true classes, columns predicted ones.
        groups: each combination of a class and the attributes of its images, sorted; empty without attributes.
        worst_group: the group of lowest accuracy, of those that are large enough; None without any.
    """

    n: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    balanced_accuracy: float
    precision: float
    recall: float
    f1: float
    log_loss: float
    calibration_error: float
    scaled_calibration_error: float
    roc_auc: float | None
    classes: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]
    groups: tuple[GroupScores, ...] = ()
    worst_group: GroupScores | None = None

    def to_json(self) -> dict[str, JSON]:
        """The attributes as dicts, lists and numbers."""
        plain = asdict(self)
        plain["accuracy_interval"] = list(self.accuracy_interval)
        plain["confusion"] = [list(row) for row in self.confusion]
        plain["classes"] = list(plain["classes"])
        plain["groups"] = list(plain["groups"])
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """The metrics from the result of `to_json`, or from the JSON file it was written to."""
        worst = plain["worst_group"]
        return cls(
            **{
                **plain,
                "accuracy_interval": tuple(plain["accuracy_interval"]),
                "classes": tuple(ClassScores(**scores) for scores in plain["classes"]),
                "confusion": tuple(tuple(row) for row in plain["confusion"]),
                "groups": tuple(GroupScores(**scores) for scores in plain["groups"]),
                "worst_group": None if worst is None else GroupScores(**worst),
            }
        )


def evaluate(
    labels: Labels,
    probabilities: Probabilities,
    names: Sequence[str],
    groups: Sequence[Mapping[str, str]] | None = None,
    smallest_group: int = SMALLEST_GROUP,
) -> Metrics:
    """The metrics of predictions; the predicted class is the most probable one.

    Args:
        labels: n, indices of the true classes.
        probabilities: n k, rows sum to 1.
        names: the k classes.
        groups: names and values of each image's attributes, such as {"place": "indoor"}.
        smallest_group: fewest images of a group that may be the worst.

    Raises:
        DataError: shapes differ, there are no predictions, a label is out of range or a row is not a distribution.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    _check(labels, probabilities, names, groups)
    correct = probabilities.argmax(1) == labels
    confusion = confusion_matrix(labels, probabilities)
    recall = balanced_accuracy(labels, probabilities)
    area = auroc(labels, probabilities)
    group_scores = _group_scores(correct, names, form_groups(labels, groups, smallest_group))
    large = [group for group in group_scores if group.n >= smallest_group]
    return Metrics(
        n=len(labels),
        accuracy=accuracy(labels, probabilities),
        accuracy_interval=wilson_interval(int(correct.sum()), len(labels)),
        balanced_accuracy=recall,
        precision=mean_over_present(class_precision(confusion), confusion),
        recall=recall,
        f1=macro_f1(labels, probabilities),
        log_loss=_log_loss(labels, probabilities),
        calibration_error=_calibration_error(probabilities.max(1), correct),
        scaled_calibration_error=_calibration_error(scale_by_temperature(labels, probabilities).max(1), correct),
        roc_auc=None if np.isnan(area) else area,
        classes=_class_scores(names, confusion),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        groups=group_scores,
        worst_group=min(large, key=lambda group: group.accuracy, default=None),
    )


def _check(
    labels: Labels,
    probabilities: Probabilities,
    names: Sequence[str],
    groups: Sequence[Mapping[str, str]] | None,
) -> None:
    if labels.ndim != 1 or probabilities.shape != (len(labels), len(names)):
        raise DataError(
            f"evaluate: needs labels n and probabilities n k for {len(names)} classes, got shapes"
            f" {labels.shape} and {probabilities.shape}"
        )
    if not len(labels):
        raise DataError("evaluate: there are no predictions")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= len(names):
        raise DataError(f"evaluate: labels must be indices in 0..{len(names) - 1}, got {np.unique(labels)[:5]}")
    # NaN fails both comparisons.
    if not (probabilities >= 0).all() or not (abs(probabilities.sum(1) - 1) < 1e-2).all():
        raise DataError("evaluate: rows of probabilities must be finite, not negative and sum to 1")
    if groups is not None and len(groups) != len(labels):
        raise DataError(f"evaluate: needs groups for each of {len(labels)} images, got {len(groups)}")


def _class_scores(names: Sequence[str], confusion: NDArray[np.int_]) -> tuple[ClassScores, ...]:
    support, predictions = confusion.sum(1), confusion.sum(0)
    precision, recall, f1 = class_precision(confusion), class_recall(confusion), class_f1(confusion)
    return tuple(
        ClassScores(
            name,
            precision=float(precision[index]) if support[index] or predictions[index] else None,
            recall=float(recall[index]) if support[index] else None,
            f1=float(f1[index]) if support[index] else None,
            support=int(support[index]),
        )
        for index, name in enumerate(names)
    )


def _group_scores(correct: NDArray[np.bool_], names: Sequence[str], found: Grouping) -> tuple[GroupScores, ...]:
    return tuple(
        GroupScores(*found.describe(number, names), size, float(correct[found.numbers == number].mean()))
        for number, size in enumerate(found.sizes)
    )


def wilson_interval(hits: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share, 0 to 1; all of it where n is 0."""
    if n == 0:
        return 0.0, 1.0
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(hits, n, method="wilson")
    return max(0.0, float(low)), min(1.0, float(high))  # rounding


def _log_loss(labels: Labels, probabilities: Probabilities) -> float:
    of_label = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(of_label, np.finfo(np.float32).tiny)).mean())


def _calibration_error(confidence: NDArray[np.floating[Any]], correct: NDArray[np.bool_]) -> float:
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = np.bincount(bins, confidence.astype(np.float64) - correct, minlength=BINS)
    return float(np.abs(gaps).sum() / len(correct))
