"""The group that a classifier is worst at: intervals that account for its being chosen as the worst.

The lowest of several measured accuracies is low by chance too, and a percentile bootstrap of the minimum is biased the
same way. Here every group has an interval at a level that all of them hold jointly (Bonferroni), so the worst is
covered whichever it is. Over several trainings the worst group is that of the lowest mean accuracy over the seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from .interval import DifferenceEstimate, Spread

HALVINGS = 40  # of the p-value's logarithm: far finer than any use of it
LEAST_P = 1e-12
PRIOR = 0.5  # images changed for better and for worse that each difference is given (Agresti and Min 2005)


@dataclass(frozen=True)
class GroupAccuracy:
    """The accuracy on one group.

    Attributes:
        accuracy: mean over the seeds, 0 to 1.
        spread: its variance, by source; of one training the variance over seeds is unknown, and 0 here.
    """

    accuracy: float
    spread: Spread

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Clopper and Pearson's exact interval at the effective number of images (Korn and Graubard 1998).

        That is the number of independent images whose mean would vary as much as this one does over seeds and images,
        at most those that there are. For one training it is their number: the plain exact interval.
        """
        from scipy.special import betaincinv  # scipy.stats would take 50 MB more

        size = self._effective_images(level)
        hits, tail = self.accuracy * size, (1 - level) / 2
        low = float(betaincinv(hits, size - hits + 1, tail)) if hits > 0 else 0.0
        high = float(betaincinv(hits + 1, size - hits, 1 - tail)) if hits < size else 1.0
        return low, high

    def _effective_images(self, level: float) -> float:
        from scipy.special import stdtrit

        n, variance, chance = self.spread.n_images, self.spread.standard_error**2, self.accuracy * (1 - self.accuracy)
        if n < 2 or not variance or not chance:
            return float(n)
        quantile = (1 + level) / 2
        widening = float(stdtrit(self.spread.degrees_of_freedom, quantile)) / float(stdtrit(n - 1, quantile))
        return min(float(n), chance / variance / widening**2)


@dataclass(frozen=True)
class WorstGroup:
    """The worst group of a classifier, over its trainings.

    Attributes:
        group: its number.
        accuracy: its accuracy, mean over the seeds, 0 to 1.
        low, high: 95 % interval of the lowest accuracy of all groups, over test images and, where there are several,
            seeds.
    """

    group: int
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class WorstGroupEstimate:
    """The difference of two conditions in the accuracy of the group that each is worst at.

    Attributes:
        before: accuracy on each group under the condition compared with.
        after: likewise under the other.
        changes: difference on each group, on the same images.
    """

    before: tuple[GroupAccuracy, ...]
    after: tuple[GroupAccuracy, ...]
    changes: tuple[DifferenceEstimate, ...]

    @property
    def difference(self) -> float:
        """Lowest mean accuracy after, minus lowest before."""
        return min(one.accuracy for one in self.after) - min(one.accuracy for one in self.before)

    @property
    def n_seeds(self) -> int:
        """How many seeds it rests on."""
        return self.before[0].spread.n_seeds

    @property
    def n_images(self) -> int:
        """How many test images it rests on."""
        return sum(one.spread.n_images for one in self.before)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """The interval at a level, simultaneous over the groups.

        Half of the error rate goes to the accuracies, which tell the groups that may be the worst, and half to the
        changes. The difference is at least the least change of a group that may be the worst after, and at most the
        largest of one that may be the worst before.
        """
        share = (1 - level) / 2 / len(self.changes)
        before, after = (_intervals(side, 1 - share / 2) for side in (self.before, self.after))
        changes = _intervals(self.changes, 1 - share)
        low = max(after.low.min() - before.high.min(), changes.low[after.low <= after.high.min()].min())
        high = min(after.high.min() - before.low.min(), changes.high[before.low <= before.high.min()].max())
        return float(low), float(high)

    @cached_property
    def p(self) -> float:
        """Two-sided p-value of no difference: the least error rate at which the interval excludes 0."""
        if not self._excludes_zero(1.0):
            return 1.0
        excluded, included = 1.0, LEAST_P
        for _ in range(HALVINGS):
            middle = (excluded * included) ** 0.5
            excluded, included = (middle, included) if self._excludes_zero(middle) else (excluded, middle)
        return excluded

    def _excludes_zero(self, rate: float) -> bool:
        low, high = self.interval(1 - rate)
        return low > 0 or high < 0

    def with_seeds(self, n: int) -> Self:
        """The estimate expected with `n` seeds."""
        return self._with_spreads(lambda spread: spread.with_seeds(n))

    def with_images(self, n: int) -> Self:
        """The estimate expected with `n` test images, in groups of the same shares."""
        ratio = n / self.n_images
        return self._with_spreads(lambda spread: spread.with_images(max(2, round(spread.n_images * ratio))))

    def _with_spreads(self, change: Any) -> Self:
        sides = {
            name: tuple(replace(one, spread=change(one.spread)) for one in getattr(self, name))
            for name in ("before", "after", "changes")
        }
        return replace(self, **sides)


@dataclass(frozen=True)
class _Bounds:
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def _intervals(groups: Sequence[GroupAccuracy | DifferenceEstimate], level: float) -> _Bounds:
    return _Bounds(*np.array([one.interval(level) for one in groups]).T)


def find_worst_group(correct: NDArray[np.bool_], groups: NDArray[Any]) -> WorstGroup:
    """The worst group, with a 95 % interval that is simultaneous over the groups.

    Args:
        correct: s n, whether the training of a seed gets an image right; one seed is enough.
        groups: n, numbers of the groups, from 0; -1 for images of none that counts.

    Raises:
        ConfigError: no image is in a group.
    """
    numbers = _present(groups)
    found = [_measure(correct[:, groups == number]) for number in numbers]
    bounds = _intervals(found, 1 - 0.05 / len(found))
    worst = min(range(len(found)), key=lambda index: found[index].accuracy)
    return WorstGroup(int(numbers[worst]), found[worst].accuracy, float(bounds.low.min()), float(bounds.high.min()))


def estimate_worst_group(
    before: NDArray[np.bool_], after: NDArray[np.bool_], groups: NDArray[Any]
) -> WorstGroupEstimate:
    """The difference of two conditions in their worst groups, paired by seed and image.

    Args:
        before: s n, whether the condition compared with gets an image right, for at least two seeds.
        after: likewise for the other.
        groups: n, numbers of the groups, from 0; -1 for images of none that counts.

    Raises:
        ConfigError: no image is in a group.
    """
    members = [groups == number for number in _present(groups)]
    return WorstGroupEstimate(
        tuple(_measure(before[:, inside]) for inside in members),
        tuple(_measure(after[:, inside]) for inside in members),
        tuple(_measure_change(after[:, inside].astype(float) - before[:, inside]) for inside in members),
    )


def _present(groups: NDArray[Any]) -> NDArray[Any]:
    numbers: NDArray[Any] = np.unique(groups[groups >= 0])
    if not len(numbers):
        raise ConfigError('metric = "worst-group" needs test images in groups of some size')
    return numbers


def _measure(correct: NDArray[np.bool_]) -> GroupAccuracy:
    seeds, images = correct.shape
    over_seeds = float(correct.mean(axis=1).var(ddof=1)) / seeds if seeds > 1 else 0.0
    spread = Spread(over_seeds, float(correct.mean(axis=0).var()) / images, seeds, images)
    return GroupAccuracy(float(correct.mean()), spread)


def _measure_change(values: NDArray[np.float64]) -> DifferenceEstimate:
    """The difference on one group, s n: a few images that happen not to change prove no certainty."""
    seeds, images = values.shape
    by_image = values.mean(axis=0)
    squares = float(((by_image - values.mean()) ** 2).sum()) + 2 * PRIOR
    spread = Spread(float(values.mean(axis=1).var(ddof=1)) / seeds, squares / images**2, seeds, images + 1)
    return DifferenceEstimate(float(values.mean()), spread)
