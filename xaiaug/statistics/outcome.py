"""What an estimate allows to be said: four outcomes, the first that holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from .interval import Estimate

Word = Literal["no difference", "helps", "hurts", "inconclusive"]
OUTCOMES: tuple[Word, ...] = ("no difference", "helps", "hurts", "inconclusive")
MOST_SEEDS, MOST_IMAGES = 200, 1_000_000


@dataclass(frozen=True)
class Outcome:
    """One of the four outcomes.

    Attributes:
        word: "no difference" (larger than delta), "helps", "hurts" or "inconclusive".
        excludes_zero: whether the interval excludes 0; so it may beside "no difference", too.
        seeds: how many would tell, with these test images; None where none would or none are needed.
        images: how many test images would tell, with these seeds; likewise.
    """

    word: Word
    excludes_zero: bool
    seeds: int | None = None
    images: int | None = None


def judge_outcome(estimate: Estimate, delta: float, level: float = 0.95) -> Outcome:
    """The outcome of a contrast.

    Args:
        estimate: mean difference and its doubt.
        delta: the smallest difference that matters, in units of the score.
        level: of the interval that must exclude 0; "no difference" takes the interval of 2 level − 1, which is the two
            one-sided tests.
    """
    low, high = estimate.interval(level)
    excludes = low > 0 or high < 0
    inner = estimate.interval(2 * level - 1)
    if -delta <= inner[0] and inner[1] <= delta:
        return Outcome("no difference", excludes)
    if excludes:
        return Outcome("helps" if low > 0 else "hurts", excludes)
    return Outcome("inconclusive", excludes, *_needed(estimate, delta, level))


def _needed(estimate: Estimate, delta: float, level: float) -> tuple[int | None, int | None]:
    """Seeds, and test images, with which the interval would be as narrow as the difference found, or as delta."""
    wanted = max(abs(estimate.difference), delta)
    spread = estimate.spread
    seeds = _least(lambda n: spread.with_seeds(n).reach(level) <= wanted, spread.n_seeds + 1, MOST_SEEDS)
    images = _least(lambda n: spread.with_images(n).reach(level) <= wanted, spread.n_images + 1, MOST_IMAGES)
    return seeds, images


def _least(enough: Callable[[int], bool], low: int, high: int) -> int | None:
    if low > high or not enough(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low
