"""Finds the images on which a classifier differs most from its own early weights (SELF, arXiv 2309.08534)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..records import Sample
from .predict import Predictions

MOST = 500  # images, as in the authors' demonstration
LARGEST_SHARE = 0.5  # of the images that are looked at
LEAST = 1e-8  # divergence below which both predict the same
SMALLEST = 1e-12  # probability


def measure_divergence(final: Predictions, early: Predictions) -> NDArray[np.float64]:
    """n: the Kullback-Leibler divergence of the early probabilities from the final ones, in nats."""
    likely = np.maximum(final.probabilities.astype(np.float64), SMALLEST)
    unlikely = np.maximum(early.probabilities.astype(np.float64), SMALLEST)
    divergence: NDArray[np.float64] = (likely * (np.log(likely) - np.log(unlikely))).sum(axis=1)
    return divergence


def choose_disagreements(samples: Sequence[Sample], final: Predictions, early: Predictions) -> list[Sample]:
    """The images with the largest divergence, in their order: at most 500, and half of them; no label is used.

    The early weights have learned the easy features, so images on which they differ from the final ones are often
    those where a shortcut fails.

    Args:
        samples: n.
        final: predictions of the classifier.
        early: those of its early weights.
    """
    divergence = measure_divergence(final, early)
    most = min(MOST, int(np.ceil(LARGEST_SHARE * len(samples))))
    ranked = sorted(range(len(samples)), key=lambda i: (-divergence[i], samples[i].id))
    return [samples[i] for i in sorted(ranked[:most]) if divergence[i] > LEAST]
