"""The sign-flip test: whether paired differences are above 0, without assuming a distribution.

Under the null hypothesis the two members of each pair are exchangeable, so each difference is as likely to have the
other sign. The p-value is the share of all assignments of signs whose mean is at least that of the data (Fisher's
randomisation test; the Monte Carlo estimate counts the data itself, after Phipson and Smyth, 1603.05766).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..errors import DataError

MOST_EXACT = 14  # pairs; beyond it signs are drawn
DRAWS = 20_000
_TOLERANCE = 1e-9  # sums that differ by rounding alone count as equal


def sign_flip_test(differences: ArrayLike, seed: int = 0) -> float:
    """One-sided p-value of the hypothesis that paired differences are not above 0.

    Exact for at most 14 pairs, else from 20,000 draws. The least possible value is 2**-n, and never 0.

    Args:
        differences: n, finite.
        seed: of the draws.

    Raises:
        DataError: there are none, or one is not finite.
    """
    values = np.asarray(differences, float)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise DataError(f"sign_flip_test: needs finite differences, n of them, got shape {values.shape}")
    scale = float(np.abs(values).max())
    if not scale:
        return 1.0
    values = values / scale
    reached = float(values.sum()) - _TOLERANCE
    if len(values) <= MOST_EXACT:
        bits = np.arange(2 ** len(values))[:, None] >> np.arange(len(values)) & 1
        return float(((1 - 2 * bits) @ values >= reached).mean())
    signs = np.random.default_rng(seed).integers(0, 2, (DRAWS, len(values)), dtype=np.int8)
    at_least = int(((1 - 2.0 * signs) @ values >= reached).sum())
    return (1 + at_least) / (1 + DRAWS)


def least_p(pairs: int) -> float:
    """The least p-value that `sign_flip_test` can give for so many pairs."""
    return 2.0**-pairs if pairs <= MOST_EXACT else 1 / (1 + DRAWS)


def mean_interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Mean ± t · standard error of n values; (-inf, inf) for fewer than two."""
    from scipy.special import stdtrit  # scipy.stats would take 50 MB more

    numbers = np.asarray(values, float)
    if len(numbers) < 2:
        return -np.inf, np.inf
    mean = float(numbers.mean())
    half = float(stdtrit(len(numbers) - 1, (1 + level) / 2) * numbers.std(ddof=1) / np.sqrt(len(numbers)))
    return mean - half, mean + half
