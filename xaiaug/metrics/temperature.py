"""Temperature scaling: how well calibrated a classifier is once its confidence is corrected by one number."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ranking import Labels, Probabilities

LIMIT = 100.0  # temperatures are sought between 1 / LIMIT and LIMIT
HALVINGS = 40


def fit_temperature(labels: Labels, probabilities: Probabilities) -> float:
    """The temperature by which logits are divided so that the log loss is least (arXiv 1706.04599).

    Args:
        labels: n, indices of the true classes; at least one.
        probabilities: n k.

    Returns:
        A number between 0.01 and 100: one of the ends where all predictions are right, or none tells more than chance.
    """
    logits = _to_logits(probabilities)
    of_label = logits[np.arange(len(labels)), labels]
    low, high = -np.log(LIMIT), np.log(LIMIT)
    for _ in range(HALVINGS):  # the loss is convex in 1 / temperature: its slope changes sign once
        middle = (low + high) / 2
        slope = ((_softmax(logits * np.exp(middle)) * logits).sum(axis=1) - of_label).mean()
        low, high = (low, middle) if slope > 0 else (middle, high)
    return float(np.exp(-(low + high) / 2))


def scale_by_temperature(labels: Labels, probabilities: Probabilities) -> NDArray[np.float64]:
    """n k: the probabilities after temperature scaling, each half of the images by the temperature of the other half.

    So no image takes part in choosing its own temperature, and no further split is needed. Halves alternate within each
    class. Fewer than two images stay as they are.
    """
    scaled = np.asarray(probabilities, np.float64).copy()
    second = _halves(labels)
    for half in (second, ~second):
        if half.any() and not half.all():
            logits = _to_logits(probabilities[half])
            scaled[half] = _softmax(logits / fit_temperature(labels[~half], probabilities[~half]))
    return scaled


def _halves(labels: Labels) -> NDArray[np.bool_]:
    """n: whether an image is in the second half."""
    order = np.argsort(labels, kind="stable")
    second = np.zeros(len(labels), bool)
    second[order[1::2]] = True
    return second


def _to_logits(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    return np.log(np.maximum(np.asarray(probabilities, np.float64), np.finfo(np.float32).tiny))


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return shares
