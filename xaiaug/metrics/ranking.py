"""Scores of a ranking for many weightings of the same images at once: what a bootstrap asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.integer[Any]]
Probabilities = NDArray[np.floating[Any]]
Counts = NDArray[np.integer[Any]]
Found = NDArray[np.float64]
_Score = Callable[[Found, Found], Found]


def auroc(labels: Labels, probabilities: Probabilities, counts: Counts) -> Found:
    """b: mean area under the one-against-the-rest ROC curves of the classes present in each draw; NaN for one alone.

    Args:
        labels: n.
        probabilities: n k.
        counts: b n, how often each draw holds each image.
    """
    return _one_against_rest(_area, labels, probabilities, counts)


def average_precision(labels: Labels, probabilities: Probabilities, counts: Counts) -> Found:
    """b: likewise, mean average precision."""
    return _one_against_rest(_precision, labels, probabilities, counts)


def _one_against_rest(score: _Score, labels: Labels, probabilities: Probabilities, counts: Counts) -> Found:
    total, classes = np.zeros(len(counts)), np.zeros(len(counts))
    for index in np.unique(labels):
        own, others = _by_threshold(labels == index, probabilities[:, index], counts)
        # A class that a draw misses, or that is all there is, has no curve; a score is of those that have one.
        defined = (own.sum(1) > 0) & (others.sum(1) > 0)
        total[defined] += score(own[defined], others[defined])
        classes += defined
    mean: Found = np.divide(total, classes, out=np.full(len(counts), np.nan), where=classes > 0)
    return mean


def _by_threshold(own: NDArray[np.bool_], values: Probabilities, counts: Counts) -> tuple[Found, Found]:
    """b t: images of the class, and of the others, at each distinct value, the highest first."""
    order = np.argsort(-values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=np.inf))
    ordered, mine = counts[:, order].astype(np.float64), own[order]
    of_class: Found = np.add.reduceat(ordered * mine, starts, axis=1)
    of_others: Found = np.add.reduceat(ordered * ~mine, starts, axis=1)
    return of_class, of_others


def _area(own: Found, others: Found) -> Found:
    below = others.sum(1, keepdims=True) - others.cumsum(1)
    area: Found = (own * (below + others / 2)).sum(1) / (own.sum(1) * others.sum(1))
    return area


def _precision(own: Found, others: Found) -> Found:
    found = own.cumsum(1)
    reached = found + others.cumsum(1)
    precision = np.divide(found, reached, out=np.zeros_like(found), where=reached > 0)
    mean: Found = (own * precision).sum(1) / own.sum(1)
    return mean
