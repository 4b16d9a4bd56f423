"""Fleiss' kappa: how far several raters agree beyond what chance would give."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 2_000
TAIL = 2.5  # per cent on each side


@dataclass(frozen=True)
class Kappa:
    """Fleiss' kappa.

    Attributes:
        value: 1 for full agreement, 0 for that of chance, below 0 for less; None where all answers are one category,
            or no case has two answers.
        low, high: 95 % interval of a bootstrap over cases; None where `value` is, or for fewer than two cases.
        cases: those with two answers or more, on which it rests.
        observed: share of the pairs of answers to a case that agree.
    """

    value: float | None
    low: float | None
    high: float | None
    cases: int
    observed: float | None


def fleiss_kappa(ratings: Sequence[Sequence[Hashable]], seed: int = 0) -> Kappa:
    """Kappa of nominal ratings by raters who are taken for interchangeable (Fleiss 1971, doi:10.1037/h0031619).

    A case may have fewer ratings than others: each counts with the share of its pairs that agree, and cases with fewer
    than two ratings do not count.

    Args:
        ratings: of each case, in any order.
        seed: of the bootstrap.
    """
    rated = [case for case in ratings if len(case) > 1]
    if not rated:
        return Kappa(None, None, None, 0, None)
    names = {name: place for place, name in enumerate(dict.fromkeys(one for case in rated for one in case))}
    counts = np.zeros((len(rated), len(names)))
    for row, case in enumerate(rated):
        for one in case:
            counts[row, names[one]] += 1
    sizes = counts.sum(axis=1)
    agreeing = (counts * (counts - 1)).sum(axis=1) / (sizes * (sizes - 1))
    value: float | None = float(_kappa(agreeing.mean(keepdims=True), counts.sum(axis=0, keepdims=True))[0])
    low: float | None
    high: float | None
    low, high = _bootstrap(agreeing, counts, seed) if len(rated) > 1 else (np.nan, np.nan)
    value, low, high = (None if one is None or np.isnan(one) else one for one in (value, low, high))
    return Kappa(value, low, high, len(rated), float(agreeing.mean()))


def _kappa(observed: NDArray[np.float64], totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of draws: their mean agreement, d, and how often each category was given, d k; NaN where chance alone agrees."""
    expected = ((totals / totals.sum(axis=1, keepdims=True)) ** 2).sum(axis=1)
    # One category throughout: rounding may leave the expected agreement a little off 1.
    room = np.where(expected > 1 - 1e-12, np.nan, 1 - expected)
    result: NDArray[np.float64] = (observed - expected) / room
    return result


def _bootstrap(agreeing: NDArray[np.float64], counts: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """Ends of the interval over draws of cases; a draw of one category throughout has no kappa and does not count."""
    shares = np.full(len(agreeing), 1 / len(agreeing))
    weights = np.random.default_rng(seed).multinomial(len(agreeing), shares, DRAWS).astype(np.float64)
    drawn = _kappa(weights @ agreeing / len(agreeing), weights @ counts)
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn):
        return np.nan, np.nan
    low, high = np.percentile(drawn, [TAIL, 100 - TAIL])
    return float(low), float(high)
