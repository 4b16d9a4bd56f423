"""The error-aware mixture model of Domino (arXiv 2203.14960): clusters that are alike, and alike in being wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

WEIGHT = 10.0  # of the errors against the features, as published
MOST = 8  # components
PATIENCE = 2  # numbers of components without a gain after which no more are tried
STEPS = 60
ENOUGH = 1e-4  # gain in mean log-likelihood below which it has converged
FLOOR = 0.02  # least variance, of features whose variance is about 1


@dataclass(frozen=True, eq=False)
class ErrorMixture:
    """A mixture of k Gaussians, each with an error rate.

    Attributes:
        shares: k, logarithms of the components' shares.
        means, variances: k d, with diagonal covariances.
        rates: k, the share of errors.
    """

    shares: Array
    means: Array
    variances: Array
    rates: Array

    def log_posteriors(self, features: Array) -> Array:
        """The logarithm of each component's probability given the features alone, n d: n k.

        Whether the images are errors is not asked, so that correct images are ranked beside mistakes.
        """
        joint = self._log_joint(features)
        posteriors: Array = joint - _log_sum(joint)
        return posteriors

    def _log_joint(self, features: Array) -> Array:
        deviations = features[:, None] - self.means[None]
        densities = -0.5 * (deviations**2 / self.variances + np.log(2 * np.pi * self.variances)).sum(axis=2)
        joint: Array = self.shares + densities
        return joint

    @property
    def size(self) -> int:
        """The number of components."""
        return len(self.shares)

    def criterion(self, features: Array, wrong: NDArray[np.bool_]) -> float:
        """The Bayesian information criterion of features and errors, unweighted; the lower the better."""
        likelihood = float(_log_sum(self._log_joint(features) + self._log_errors(wrong)).sum())
        parameters = self.size * (2 * features.shape[1] + 2) - 1
        return float(parameters / 2 * np.log(len(features)) - likelihood)

    def log_weights(self, features: Array, wrong: NDArray[np.bool_]) -> Array:
        """As `log_posteriors`, not normalised, and with the errors known."""
        weights: Array = self._log_joint(features) + WEIGHT * self._log_errors(wrong)
        return weights

    def _log_errors(self, wrong: NDArray[np.bool_]) -> Array:
        errors: Array = np.where(wrong[:, None], np.log(self.rates), np.log1p(-self.rates))
        return errors


def choose_mixture(features: Array, wrong: NDArray[np.bool_], seed: int) -> ErrorMixture:
    """The mixture whose number of components has the lowest information criterion; of one if nothing clusters.

    Args:
        features: n d, each of about unit variance.
        wrong: n, the errors.
        seed: of the first clusters.
    """
    best = fit_mixture(features, wrong, 1, seed)
    lowest, worse = best.criterion(features, wrong), 0
    for components in range(2, min(MOST, len(features)) + 1):
        mixture = fit_mixture(features, wrong, components, seed)
        value = mixture.criterion(features, wrong)
        best, lowest, worse = (mixture, value, 0) if value < lowest else (best, lowest, worse + 1)
        if worse == PATIENCE:
            break
    return best


def fit_mixture(features: Array, wrong: NDArray[np.bool_], components: int, seed: int) -> ErrorMixture:
    """Fits a mixture by expectation and maximisation, from clusters of features and errors.

    Args:
        features: n d, each of about unit variance.
        wrong: n, the errors.
        components: k, at most n.
        seed: of the first clusters.
    """
    from sklearn.cluster import KMeans

    start = np.concatenate([features, 2 * wrong[:, None]], axis=1)
    clusters = KMeans(components, n_init=2, max_iter=50, random_state=seed).fit_predict(start)
    mixture = _maximise(np.eye(components)[clusters], features, wrong)
    before = -np.inf
    for _ in range(STEPS):
        weights = mixture.log_weights(features, wrong)
        totals = _log_sum(weights)
        mixture = _maximise(np.exp(weights - totals), features, wrong)
        likelihood = float(totals.mean())
        if likelihood - before < ENOUGH:
            break
        before = likelihood
    return mixture


def _log_sum(values: Array) -> Array:
    """The logarithm of the sum of exponentials over each row: n 1."""
    sums: Array = np.logaddexp.reduce(values, axis=1, keepdims=True)
    return sums


def _maximise(responsibilities: Array, features: Array, wrong: NDArray[np.bool_]) -> ErrorMixture:
    counts = responsibilities.sum(axis=0) + 1e-6
    means = responsibilities.T @ features / counts[:, None]
    variances = responsibilities.T @ features**2 / counts[:, None] - means**2
    # Half an image of each kind is added, so that no rate is 0 or 1.
    rates = (responsibilities.T @ wrong + 0.5) / (counts + 1)
    return ErrorMixture(np.log(counts / counts.sum()), means, np.maximum(variances, FLOOR), rates)
