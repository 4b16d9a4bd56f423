"""How well predictions fit the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..records import JSON

Labels = NDArray[np.int_]
BINS = 15


@dataclass(frozen=True)
class ClassScores:
    """How one class fares.

    Attributes:
        name: the class.
        precision: share of its predictions that are right, 0 when a present class is never predicted; None when the
            class is neither present nor predicted.
        recall: share of its images that are found; None when it has none.
        f1: harmonic mean of both; None when it has no images.
        support: its images.
    """

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@dataclass(frozen=True)
class GroupScores:
    """How the images of one group fare: those whose `attribute` is `value`."""

    attribute: str
    value: str
    n: int
    accuracy: float


@dataclass(frozen=True)
class Metrics:
    """Scores of one set of predictions; shares lie in 0 to 1.

    Attributes:
        n: images.
        accuracy: share of right predictions.
        accuracy_interval: its 95 % Wilson interval, for the choice of test images alone.
        balanced_accuracy: mean recall over the classes that are present.
        precision: mean over the classes that are present (macro).
        recall: likewise; equal to `balanced_accuracy`.
        f1: likewise.
        log_loss: mean negative logarithm of the true class's probability, in nats.
        calibration_error: expected calibration error: mean distance between confidence and accuracy over 15 bins of
            confidence of one width, weighted by their images (arXiv 1706.04599).
        roc_auc: mean area under the one-against-the-rest curves; None where a single class is present.
        classes: each class, in the order of the labels.
        confusion: rows are true classes, columns predicted ones.
        groups: each group, when groups were given; sorted by attribute and value.
        worst_group: the group of lowest accuracy; None without groups.
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
    roc_auc: float | None
    classes: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]
    groups: tuple[GroupScores, ...] = ()
    worst_group: GroupScores | None = None

    def to_json(self) -> dict[str, JSON]:
        """The same as plain dicts, lists and numbers."""
        plain = asdict(self)
        plain["accuracy_interval"] = list(self.accuracy_interval)
        plain["confusion"] = [list(row) for row in self.confusion]
        plain["classes"] = list(plain["classes"])
        plain["groups"] = list(plain["groups"])
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """The metrics that `to_json` gave, also after a way through a file."""
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
    probabilities: NDArray[np.floating[Any]],
    names: Sequence[str],
    groups: Sequence[Mapping[str, str]] | None = None,
) -> Metrics:
    """The metrics of predictions, the likeliest class being the predicted one.

    Args:
        labels: n, indices of the true classes.
        probabilities: n k, rows sum to 1.
        names: the k classes.
        groups: for each image its groups, such as {"patient": "17"}.

    Raises:
        DataError: shapes do not fit, nothing was given, a label is out of range or a value is no probability.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    _check(labels, probabilities, names, groups)
    predicted = probabilities.argmax(1)
    indices = np.arange(len(names))
    scores = precision_recall_fscore_support(labels, predicted, labels=indices, zero_division=0)
    confusion = confusion_matrix(labels, predicted, labels=indices)
    present = confusion.sum(1) > 0
    precision, recall, f1 = (float(values[present].mean()) for values in scores[:3])
    found = _group_scores(predicted == labels, groups or ())
    return Metrics(
        n=len(labels),
        accuracy=float((predicted == labels).mean()),
        accuracy_interval=_wilson(int((predicted == labels).sum()), len(labels)),
        balanced_accuracy=recall,
        precision=precision,
        recall=recall,
        f1=f1,
        log_loss=_log_loss(labels, probabilities),
        calibration_error=_calibration_error(probabilities.max(1), predicted == labels),
        roc_auc=_roc_auc(labels, probabilities),
        classes=_class_scores(names, confusion, scores),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        groups=found,
        worst_group=min(found, key=lambda group: group.accuracy, default=None),
    )


def _check(
    labels: Labels,
    probabilities: NDArray[np.floating[Any]],
    names: Sequence[str],
    groups: Sequence[Mapping[str, str]] | None,
) -> None:
    if labels.ndim != 1 or probabilities.shape != (len(labels), len(names)):
        raise DataError(
            f"evaluate: needs labels n and probabilities n k for {len(names)} classes, got shapes"
            f" {labels.shape} and {probabilities.shape}"
        )
    if not len(labels):
        raise DataError("evaluate: there are no predictions to measure")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= len(names):
        raise DataError(f"evaluate: labels must be indices in 0..{len(names) - 1}, got {np.unique(labels)[:5]}")
    # NaN fails both comparisons.
    if not (probabilities >= 0).all() or not (abs(probabilities.sum(1) - 1) < 1e-2).all():
        raise DataError("evaluate: rows of probabilities must be finite, not negative and sum to 1")
    if groups is not None and len(groups) != len(labels):
        raise DataError(f"evaluate: needs groups for each of {len(labels)} images, got {len(groups)}")


def _class_scores(names: Sequence[str], confusion: Labels, scores: Sequence[Any]) -> tuple[ClassScores, ...]:
    found = []
    for index, name in enumerate(names):
        support, predictions = int(confusion[index].sum()), int(confusion[:, index].sum())
        precision, recall, f1 = (float(values[index]) for values in scores[:3])
        found.append(
            ClassScores(
                name,
                precision if support or predictions else None,
                recall if support else None,
                f1 if support else None,
                support,
            )
        )
    return tuple(found)


def _group_scores(right: NDArray[np.bool_], groups: Sequence[Mapping[str, str]]) -> tuple[GroupScores, ...]:
    members: dict[tuple[str, str], list[bool]] = {}
    for hit, group in zip(right.tolist(), groups, strict=False):
        for attribute, value in group.items():
            members.setdefault((attribute, value), []).append(hit)
    return tuple(
        GroupScores(attribute, value, len(hits), sum(hits) / len(hits))
        for (attribute, value), hits in sorted(members.items())
    )


def _wilson(hits: int, n: int) -> tuple[float, float]:
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(hits, n, method="wilson")
    return float(low), float(high)


def _log_loss(labels: Labels, probabilities: NDArray[np.floating[Any]]) -> float:
    own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(own, np.finfo(np.float32).tiny)).mean())


def _calibration_error(confidence: NDArray[np.floating[Any]], right: NDArray[np.bool_]) -> float:
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = np.bincount(bins, confidence.astype(np.float64) - right, minlength=BINS)
    return float(np.abs(gaps).sum() / len(right))


def _roc_auc(labels: Labels, probabilities: NDArray[np.floating[Any]]) -> float | None:
    from sklearn.metrics import roc_auc_score

    present = np.unique(labels)
    if len(present) < 2:
        return None
    return float(np.mean([roc_auc_score(labels == index, probabilities[:, index]) for index in present]))
