"""Multinomial logistic regression with an L1 penalty, by accelerated proximal gradient steps; deterministic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MOST_STEPS = 2000
TOLERANCE = 1e-4  # largest change of a coefficient in a step
POWER_STEPS = 50


def fit_sparse_regression(
    features: Floats, labels: NDArray[np.int64], weights: Floats, start: Floats, strength: float = 1.0
) -> Floats:
    """The coefficients that minimise Σ|w| + strength · Σᵢ weightᵢ · cross-entropyᵢ: k d+1, the last column is the bias.

    The bias is not penalised. For two classes this is the penalty that liblinear and scikit-learn have for one vector
    of coefficients, shared between the two rows. The steps are those of FISTA (Beck and Teboulle 2009), begun again
    where they would go back.

    Args:
        features: n d.
        labels: n, each from 0 to k - 1.
        weights: n, of the images.
        start: k d+1, first guess.
        strength: inverse of the penalty.
    """
    inputs = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    targets = np.eye(len(start))[labels]
    scale = (strength * weights)[:, None]
    step = 1 / max(_bound_curvature(inputs, scale), 1e-12)
    current, ahead, momentum = start, start, 1.0
    for _ in range(MOST_STEPS):
        gradient = (scale * (_softmax(inputs @ ahead.T) - targets)).T @ inputs
        moved = _shrink(ahead - step * gradient, step)
        change = moved - current
        if np.sum((ahead - moved) * change) > 0:  # the momentum points away from the minimum
            momentum = 1.0
        faster = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = moved + (momentum - 1) / faster * change
        current, momentum = moved, faster
        if np.abs(change).max() < TOLERANCE * max(1.0, np.abs(moved).max()):
            break
    return current


def _shrink(values: Floats, amount: float) -> Floats:
    """The values, all but the bias moved towards 0 by an amount."""
    shrunk = np.sign(values) * np.maximum(np.abs(values) - amount, 0)
    shrunk[:, -1] = values[:, -1]
    return shrunk


def _bound_curvature(inputs: Floats, scale: Floats) -> float:
    """An upper bound of the second derivatives: half the largest eigenvalue of the weighted inputs' products."""
    vector = np.ones(inputs.shape[1]) / np.sqrt(inputs.shape[1])
    largest = 0.0
    for _ in range(POWER_STEPS):
        product = inputs.T @ (scale[:, 0] * (inputs @ vector))
        largest = float(np.linalg.norm(product))
        if largest == 0:
            break
        vector = product / largest
    # Power steps approach it from below.
    return 1.05 * largest / 2


def _softmax(logits: Floats) -> Floats:
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    values: Floats = scores / scores.sum(axis=1, keepdims=True)
    return values
