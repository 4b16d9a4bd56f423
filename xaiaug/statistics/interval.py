"""The confidence interval of a difference between two training conditions, over both seeds and test images.

McNemar's test and a bootstrap over images account for the choice of test images but not of seeds: where trainings vary,
they claim differences that do not exist.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError


@dataclass(frozen=True)
class Spread:
    """The variance of a mean difference, by source, in squared units of the score.

    Attributes:
        seeds: variance from the choice of seeds: that between seeds, divided by their number.
        images: variance from the choice of test images.
        n_seeds: number of seeds.
        n_images: number of test images.
        pooled: how many independent differences the variance over seeds rests on; 1: this one alone.
    """

    seeds: float
    images: float
    n_seeds: int
    n_images: int
    pooled: float = 1.0

    @property
    def standard_error(self) -> float:
        """Standard error of the mean difference."""
        return math.sqrt(self.seeds + self.images)

    @property
    def degrees_of_freedom(self) -> float:
        """Satterthwaite's degrees of freedom; infinite where nothing varies."""
        sources = ((self.seeds, self.pooled * (self.n_seeds - 1)), (self.images, self.n_images - 1))
        denominator = sum(variance**2 / freedom for variance, freedom in sources if variance)
        return self.standard_error**4 / denominator if denominator else math.inf

    def with_seeds(self, n: int) -> Spread:
        """The spread expected with `n` seeds."""
        return replace(self, seeds=self.seeds * self.n_seeds / n, n_seeds=n)

    def with_images(self, n: int) -> Spread:
        """The spread expected with `n` test images."""
        return replace(self, images=self.images * self.n_images / n, n_images=n)

    def half_width(self, level: float) -> float:
        """Half the width of the interval at a level such as 0.95."""
        from scipy.special import stdtrit  # scipy.stats would take 50 MB more

        quantile = float(stdtrit(self.degrees_of_freedom, (1 + level) / 2))
        return quantile * self.standard_error if self.standard_error else 0.0


class UncertainDifference(Protocol):
    """A mean difference between two conditions, by whichever metric, and its uncertainty."""

    @property
    def difference(self) -> float:
        """The difference, in units of the score (0 to 1)."""
        ...

    @property
    def n_seeds(self) -> int:
        """How many seeds it rests on."""
        ...

    @property
    def n_images(self) -> int:
        """How many test images it rests on."""
        ...

    @property
    def p(self) -> float:
        """Two-sided p-value of no difference."""
        ...

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """The interval at a level, over both seeds and test images."""
        ...

    def with_seeds(self, n: int) -> Self:
        """The estimate expected with `n` seeds."""
        ...

    def with_images(self, n: int) -> Self:
        """The estimate expected with `n` test images."""
        ...


@dataclass(frozen=True)
class DifferenceEstimate:
    """A mean difference between two conditions and its uncertainty.

    Attributes:
        difference: mean over the seeds, in units of the score (0 to 1).
        spread: its variance, by source.
    """

    difference: float
    spread: Spread

    @property
    def n_seeds(self) -> int:
        """How many seeds it rests on."""
        return self.spread.n_seeds

    @property
    def n_images(self) -> int:
        """How many test images it rests on."""
        return self.spread.n_images

    def with_seeds(self, n: int) -> Self:
        """The estimate expected with `n` seeds."""
        return replace(self, spread=self.spread.with_seeds(n))

    def with_images(self, n: int) -> Self:
        """The estimate expected with `n` test images."""
        return replace(self, spread=self.spread.with_images(n))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """difference ± t · standard error."""
        half_width = self.spread.half_width(level)
        return self.difference - half_width, self.difference + half_width

    @cached_property
    def p(self) -> float:
        """Two-sided p-value of no difference; below 1 − level exactly where the interval at that level excludes 0."""
        from scipy.special import stdtr

        error = self.spread.standard_error
        if not error:
            return 0.0 if self.difference else 1.0
        return float(2 * stdtr(self.spread.degrees_of_freedom, -abs(self.difference) / error))


def estimate_from_means(values: NDArray[np.floating]) -> DifferenceEstimate:
    """The estimate where each seed's difference is a mean over the test images.

    Args:
        values: s n: by seed and image, the image's contribution to the seed's difference, times n; for accuracy the
            difference of two 0-or-1 values.

    Raises:
        DataError: fewer than two seeds or images.
    """
    _check(values.shape)
    by_seed, by_image = values.mean(axis=1), values.mean(axis=0)
    return DifferenceEstimate(
        float(by_seed.mean()),
        Spread(float(by_seed.var(ddof=1)) / len(by_seed), float(by_image.var(ddof=1)) / len(by_image), *values.shape),
    )


def estimate_from_draws(
    by_seed: NDArray[np.floating], drawn: NDArray[np.floating], n_images: int
) -> DifferenceEstimate:
    """The estimate where a seed's difference is not a mean: the variance over images is from a bootstrap.

    Args:
        by_seed: s: each seed's difference.
        drawn: b: the mean difference over the seeds on each of b draws of the test images.
        n_images: number of test images.

    Raises:
        DataError: fewer than two seeds or images.
    """
    _check((len(by_seed), n_images))
    spread = Spread(float(by_seed.var(ddof=1)) / len(by_seed), float(drawn.var(ddof=1)), len(by_seed), n_images)
    return DifferenceEstimate(float(by_seed.mean()), spread)


def _check(shape: tuple[int, ...]) -> None:
    if len(shape) != 2 or min(shape) < 2:
        raise DataError(f"an interval needs at least two seeds and two test images, got {' x '.join(map(str, shape))}")
