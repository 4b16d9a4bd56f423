"""The outcome of a comparison: no difference, helps, hurts or inconclusive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from .interval import UncertainDifference

OutcomeWord = Literal["no difference", "helps", "hurts", "inconclusive"]
OUTCOMES: tuple[OutcomeWord, ...] = ("no difference", "helps", "hurts", "inconclusive")
MOST_SEEDS, MOST_IMAGES = 200, 1_000_000


@dataclass(frozen=True)
class Outcome:
    """One of the four outcomes.

    Attributes:
        word: "no difference" (larger than delta), "helps", "hurts" or "inconclusive".
        excludes_zero: whether the interval excludes 0, which is possible with "no difference" as well.
        seeds: how many seeds would be enough with these test images; None where no number is or none is needed.
        images: how many test images would be enough with these seeds; likewise.
    """

    word: OutcomeWord
    excludes_zero: bool
    seeds: int | None = None
    images: int | None = None


def judge_outcome(estimate: UncertainDifference, delta: float, level: float = 0.95) -> Outcome:
    """The first outcome that holds, in the order of `OUTCOMES`.

    Args:
        estimate: the mean difference and its spread.
        delta: the smallest difference that matters, in units of the score.
        level: of the interval that must exclude 0; "no difference" uses the interval at 2 level − 1, which is two
            one-sided tests (TOST).
    """
    low, high = estimate.interval(level)
    excludes = low > 0 or high < 0
    inner_low, inner_high = estimate.interval(2 * level - 1)
    if -delta <= inner_low and inner_high <= delta:
        return Outcome("no difference", excludes)
    if excludes:
        return Outcome("helps" if low > 0 else "hurts", excludes)
    return Outcome("inconclusive", excludes, *_required_sizes(estimate, delta, level))


def _required_sizes(estimate: UncertainDifference, delta: float, level: float) -> tuple[int | None, int | None]:
    """Seeds, or test images, that would narrow the half-width to the estimated difference, or to delta if larger."""
    wanted = max(abs(estimate.difference), delta)

    def narrow(expected: UncertainDifference) -> bool:
        low, high = expected.interval(level)
        return high - low <= 2 * wanted

    seeds = find_smallest(lambda n: narrow(estimate.with_seeds(n)), estimate.n_seeds + 1, MOST_SEEDS)
    images = find_smallest(lambda n: narrow(estimate.with_images(n)), estimate.n_images + 1, MOST_IMAGES)
    return seeds, images


def find_smallest(enough: Callable[[int], bool], low: int, high: int) -> int | None:
    """The smallest number from `low` to `high` that is enough, by bisection; None where none is."""
    if low > high or not enough(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low
