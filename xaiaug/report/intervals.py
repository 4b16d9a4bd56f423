"""The dot plot beside the table of arms: accuracy of each seed, the mean, and what the test set's size leaves open."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from .axes import Axis
from .schema_arms import ArmResult, Scores
from .summary import REFERENCE, scores_by_seed

WIDTH = 260
MARGIN = 16


@dataclass(frozen=True)
class DotRow:
    """One arm's marks, in pixels from the left; `mean` is None for an arm without scores."""

    mean: float | None = None
    low: float | None = None
    high: float | None = None
    seeds: tuple[float, ...] = ()
    description: str = "not trained yet"


@dataclass(frozen=True)
class DotPlot:
    """Rows on one axis.

    Attributes:
        ticks: place and label of each.
        reference: where `continued` stands; None without that arm.
        from_zero: whether the axis starts at zero.
    """

    ticks: tuple[tuple[float, str], ...]
    reference: float | None
    rows: tuple[DotRow, ...]
    width: int = WIDTH
    from_zero: bool = False


def dot_plot(arms: Sequence[ArmResult]) -> DotPlot | None:
    """The plot for the arms, in their order; None when no arm has scores."""
    scores = {arm.name: list(scores_by_seed(arm).values()) for arm in arms}
    values = [100 * value for arm in scores.values() for score in arm for value in (score.accuracy, *_interval(score))]
    if not values:
        return None
    axis = Axis.around(values, MARGIN, WIDTH - MARGIN, most=4)
    reference = scores.get(REFERENCE) or []
    return DotPlot(
        ticks=tuple((axis.place(tick), axis.label(tick)) for tick in axis.ticks),
        reference=axis.place(100 * statistics.fmean(score.accuracy for score in reference)) if reference else None,
        rows=tuple(_row(scores[arm.name], axis) for arm in arms),
        from_zero=axis.ticks[0] == 0,
    )


def _interval(score: Scores) -> tuple[float, float]:
    return score.accuracy_interval or (score.accuracy, score.accuracy)


def _row(scores: Sequence[Scores], axis: Axis) -> DotRow:
    if not scores:
        return DotRow()
    mean = 100 * statistics.fmean(score.accuracy for score in scores)
    low = 100 * statistics.fmean(_interval(score)[0] for score in scores)
    high = 100 * statistics.fmean(_interval(score)[1] for score in scores)
    return DotRow(
        mean=axis.place(mean),
        low=axis.place(low),
        high=axis.place(high),
        seeds=tuple(axis.place(100 * score.accuracy) for score in scores) if len(scores) > 1 else (),
        description=f"{mean:.1f} percent, interval {low:.1f} to {high:.1f}",
    )
