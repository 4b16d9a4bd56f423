"""Which of several training conditions may be chosen without losing much to the best of the others.

Hsu's multiple comparisons with the best (Hsu 1984), each pair by an interval over both seeds and test images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from .compare import Condition, estimate_difference
from .interval import DifferenceEstimate, UncertainDifference
from .outcome import MOST_IMAGES, MOST_SEEDS, find_smallest


@dataclass(frozen=True)
class AllPairs:
    """The differences between all pairs of conditions.

    Attributes:
        count: number of conditions.
        pairs: (i, j): the difference of condition j over condition i, for i < j.
    """

    count: int
    pairs: dict[tuple[int, int], UncertainDifference]

    @property
    def n_seeds(self) -> int:
        """How many seeds the differences rest on."""
        return next(iter(self.pairs.values())).n_seeds

    def difference(self, one: int, other: int) -> float:
        """How far a condition is ahead of another, in units of the score."""
        if one == other:
            return 0.0
        return self.pairs[other, one].difference if other < one else -self.pairs[one, other].difference

    def interval(self, one: int, other: int, level: float) -> tuple[float, float]:
        """The interval of that difference at a level."""
        if other < one:
            return self.pairs[other, one].interval(level)
        low, high = self.pairs[one, other].interval(level)
        return -high, -low

    def gain(self, one: int, reference: int, level: float = 0.95) -> tuple[float, float]:
        """The interval over a reference, simultaneous over all conditions (Bonferroni)."""
        return self.interval(one, reference, 1 - (1 - level) / (self.count - 1))

    def lower_bound(self, one: int, level: float = 0.95) -> float:
        """Lower bound of a condition's difference to the best of the others, simultaneous over all conditions."""
        pairwise = 1 - 2 * (1 - level) / (self.count - 1)
        return min(self.interval(one, other, pairwise)[0] for other in range(self.count) if other != one)

    def find_sufficient(self, order: Sequence[int], margin: float, level: float = 0.95) -> int | None:
        """The first condition in an order that is shown to lose less than a margin to the best; None where none is.

        At most 1 − level of experiments find one that loses more.
        """
        return next((one for one in order if self.lower_bound(one, level) > -margin), None)

    def required_seeds(self, margin: float, level: float = 0.95) -> int | None:
        """With how many seeds one would be found if the differences stay; None where no number is enough."""
        return find_smallest(
            lambda n: self._is_enough(lambda one: one.with_seeds(n), margin, level), self.n_seeds + 1, MOST_SEEDS
        )

    def required_images(self, margin: float, level: float = 0.95) -> int | None:
        """With how many test images, likewise."""
        least = next(iter(self.pairs.values())).n_images + 1
        return find_smallest(
            lambda n: self._is_enough(lambda one: one.with_images(n), margin, level), least, MOST_IMAGES
        )

    def required_growth(self, margin: float, level: float = 0.95) -> int | None:
        """How many times as many seeds and test images, likewise."""
        return find_smallest(
            lambda n: self._is_enough(
                lambda one: one.with_seeds(n * one.n_seeds).with_images(n * one.n_images), margin, level
            ),
            2,
            MOST_SEEDS,
        )

    def _is_enough(
        self, change: Callable[[UncertainDifference], UncertainDifference], margin: float, level: float
    ) -> bool:
        expected = replace(self, pairs={pair: change(found) for pair, found in self.pairs.items()})
        return expected.find_sufficient(range(self.count), margin, level) is not None


def compare_all(conditions: Sequence[Condition]) -> AllPairs:
    """All pairs of conditions, which have the same labels, seeds (at least two), scorer and groups.

    The variance over seeds of a pair is the larger of its own and that pooled over all conditions that vary: a few
    seeds may agree by chance, and where conditions vary unequally the pooled one alone is too small for some.
    """
    pairs = combinations(range(len(conditions)), 2)
    found = {(i, j): estimate_difference(conditions[i], conditions[j]) for i, j in pairs}
    varying = {index for index, one in enumerate(conditions) if np.ptp(one.scores) > 0}
    if not varying:
        return AllPairs(len(conditions), found)
    pooled = _pool(np.array([conditions[index].scores for index in sorted(varying)]))
    return AllPairs(
        len(conditions),
        {pair: _with_pooled(one, pooled[len(varying.intersection(pair))]) for pair, one in found.items()},
    )


@dataclass(frozen=True)
class _Pooled:
    variance: float  # of a difference in one seed
    pooled: float  # as in `Spread`


def _pool(scores: NDArray[np.float64]) -> tuple[_Pooled, _Pooled, _Pooled]:
    """The pooled variance of a difference of which none, one or both of the conditions vary; scores are c s.

    As in a randomised block design: what conditions and seeds leave of the scores is the variance of each condition. A
    seed that is good for all cancels from a difference where both vary, and stays where one does.
    """
    count, seeds = scores.shape
    rest = scores - scores.mean(axis=1, keepdims=True) - scores.mean(axis=0) + scores.mean()
    own = float((rest**2).sum()) / max(1, (count - 1) * (seeds - 1))
    parts = ((own * (1 - 1 / count), count - 1), (float(scores.mean(axis=0).var(ddof=1)), 1))
    variance = sum(part for part, _ in parts)
    freedom = sum(part**2 / of for part, of in parts if part)
    one = _Pooled(variance, variance**2 / freedom if freedom else 1.0)
    return _Pooled(0.0, 1.0), one, _Pooled(2 * own, max(1, count - 1))


def _with_pooled(estimate: UncertainDifference, pooled: _Pooled) -> UncertainDifference:
    if not isinstance(estimate, DifferenceEstimate):  # of the worst group: its groups have spreads of their own
        return estimate
    seeds = max(estimate.spread.seeds, pooled.variance / estimate.n_seeds)
    return replace(estimate, spread=replace(estimate.spread, seeds=seeds, pooled=pooled.pooled))
