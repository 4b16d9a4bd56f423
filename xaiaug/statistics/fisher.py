"""Fisher's exact test: whether two shares differ by more than chance."""

from __future__ import annotations

from typing import Any

import numpy as np

TIES = 1 + 1e-7  # tables whose probabilities differ by less are equally probable but for rounding


def fisher_test(one: int, one_of: int, other: int, other_of: int, *, greater: bool = False) -> float:
    """The p-value that the shares one / one_of and other / other_of differ so much, or more, by chance.

    Args:
        one: how many of the first group have a property.
        one_of: the size of that group.
        other: how many of the second group have it.
        other_of: the size of that group.
        greater: one-sided: only a larger first share counts; else two-sided, all tables that are no more probable.
    """
    from scipy.special import gammaln  # scipy.stats would take 50 MB more

    def log_comb(n: int, k: Any) -> Any:
        return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)

    have = one + other
    counts = np.arange(max(0, have - other_of), min(one_of, have) + 1)
    logs = log_comb(one_of, counts) + log_comb(other_of, have - counts) - log_comb(one_of + other_of, have)
    probabilities = np.exp(logs)
    reached = counts >= one if greater else probabilities <= probabilities[counts == one] * TIES
    return min(1.0, float(probabilities[reached].sum()))
