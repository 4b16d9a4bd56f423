"""The interval of a difference between two training conditions: over seeds and over test images at once.

McNemar's test and a bootstrap over images see the test images vary, and not the trainings: where seeds differ they
claim differences that are none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError


@dataclass(frozen=True)
class Spread:
    """Where the doubt about a mean difference comes from; variances of the mean, in squared units of the score.

    Attributes:
        seeds: variance from the choice of seeds: that between them, over their number.
        images: variance from the choice of test images.
        n_seeds: trainings.
        n_images: test images.
    """

    seeds: float
    images: float
    n_seeds: int
    n_images: int

    @property
    def error(self) -> float:
        """Standard error of the mean difference."""
        return math.sqrt(self.seeds + self.images)

    @property
    def freedom(self) -> float:
        """Satterthwaite's degrees of freedom; infinite where nothing varies."""
        parts = ((self.seeds, self.n_seeds - 1), (self.images, self.n_images - 1))
        below = sum(variance**2 / freedom for variance, freedom in parts)
        return self.error**4 / below if below else math.inf

    def with_seeds(self, n: int) -> Spread:
        """The same trainings, were there so many of them."""
        return Spread(self.seeds * self.n_seeds / n, self.images, n, self.n_images)

    def with_images(self, n: int) -> Spread:
        """The same test images, were there so many of them."""
        return Spread(self.seeds, self.images * self.n_images / n, self.n_seeds, n)

    def reach(self, level: float) -> float:
        """Half the width of the interval of that level, such as 0.95."""
        from scipy.stats import t

        return float(t.ppf((1 + level) / 2, self.freedom)) * self.error if self.error else 0.0


@dataclass(frozen=True)
class DifferenceEstimate:
    """A mean difference between two conditions and how sure it is.

    Attributes:
        difference: mean over the seeds, in units of the score (0 to 1).
        spread: where the doubt comes from.
    """

    difference: float
    spread: Spread

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """difference ± t · standard error."""
        reach = self.spread.reach(level)
        return self.difference - reach, self.difference + reach

    @cached_property
    def p(self) -> float:
        """Two-sided p-value of no difference; agrees with `interval`: below 1 − level where it excludes 0."""
        from scipy.stats import t

        if not self.spread.error:
            return 0.0 if self.difference else 1.0
        return float(2 * t.sf(abs(self.difference) / self.spread.error, self.spread.freedom))


def estimate_from_means(values: NDArray[np.floating]) -> DifferenceEstimate:
    """The estimate where a seed's difference is a mean over the test images.

    Args:
        values: s n: by seed and image, what the image adds to the seed's difference, times n; for accuracy the
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
    """The estimate where a seed's difference is no mean: the images' share is that of a bootstrap over them.

    Args:
        by_seed: s: each seed's difference.
        drawn: b: the mean difference over the seeds on b draws of the test images.
        n_images: test images.

    Raises:
        DataError: fewer than two seeds or images.
    """
    _check((len(by_seed), n_images))
    spread = Spread(float(by_seed.var(ddof=1)) / len(by_seed), float(drawn.var(ddof=1)), len(by_seed), n_images)
    return DifferenceEstimate(float(by_seed.mean()), spread)


def _check(shape: tuple[int, ...]) -> None:
    if len(shape) != 2 or min(shape) < 2:
        raise DataError(f"an interval needs at least two seeds and two test images, got {' x '.join(map(str, shape))}")
