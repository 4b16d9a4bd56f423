"""The charts of the page: learning curves of each arm, and the accuracy of all arms on one axis."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..records.pipeline import CONTINUED
from .arm_table import scores_by_seed
from .schema_arms import ArmResult, Curves, Scores
from .schema_report import Report

LEFT, RIGHT, TOP, BOTTOM = 40, 326, 10, 164  # of a chart of curves, in pixels
WIDTH = 260  # of the plot of accuracies
MARGIN = 16
MOST_POINTS = 120
SPLITS = ("train", "validation", "test")

Point = tuple[int, float]


@dataclass(frozen=True)
class Axis:
    """A linear axis from `low` to `high`, drawn from pixel `start` to pixel `end`.

    Attributes:
        ticks: round values inside the axis.
        decimals: digits after the point that the ticks need.
    """

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    decimals: int

    @classmethod
    def around(cls, values: Iterable[float], start: float, end: float, most: int = 5) -> Axis:
        """An axis with round ends that contains all values, with at most `most` + 1 steps."""
        known = list(values) or [0.0, 1.0]
        low, high = min(known), max(known)
        if low == high:
            room = abs(low) / 10 or 0.5
            low, high = low - room, high + room
        step = _round_step((high - low) / most)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        ticks = tuple(number * step for number in range(first, last + 1))
        return cls(ticks[0], ticks[-1], start, end, ticks, max(0, -math.floor(math.log10(step) + 1e-9)))

    def position(self, value: float) -> float:
        """The position of a value in pixels, to one decimal."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def label(self, value: float) -> str:
        """The text of a tick."""
        return f"{value:.{self.decimals}f}"


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


@dataclass(frozen=True)
class Line:
    """A line without gaps: `points` in SVG's format, of the split "train", "validation" or "test"."""

    split: str
    points: str


@dataclass(frozen=True)
class Chart:
    """One chart: its lines, its ticks (position and label), and a description for screen readers.

    Attributes:
        quantity: "loss" or "accuracy".
    """

    quantity: str
    lines: tuple[Line, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    description: str


@dataclass(frozen=True)
class ArmCurves:
    """The two charts of one arm."""

    arm: str
    charts: tuple[Chart, ...]


def arm_curves(report: Report) -> tuple[ArmCurves, ...]:
    """Charts for every arm with curves; all arms share the vertical axis, so that they can be compared."""
    arms = [arm for arm in report.arms if any(seed.history.steps for seed in arm.seeds)]
    axes = {quantity: Axis.around(_values(arms, quantity), BOTTOM, TOP, most=4) for quantity in ("loss", "accuracy")}
    return tuple(
        ArmCurves(arm.name, tuple(_chart(arm, quantity, axis) for quantity, axis in axes.items())) for arm in arms
    )


def _values(arms: Iterable[ArmResult], quantity: str) -> Iterator[float]:
    for arm in arms:
        for _, curve in _curves(arm, quantity):
            yield from (value for _, value in curve if value is not None)


def _curves(arm: ArmResult, quantity: str) -> Iterator[tuple[str, list[tuple[int, float | None]]]]:
    for seed in arm.seeds:
        for split in SPLITS:
            values: Sequence[float | None] = getattr(seed.history, f"{split}_{quantity}", ())
            if values:
                yield split, _thin(seed.history, values)


def _thin(history: Curves, values: Sequence[float | None]) -> list[tuple[int, float | None]]:
    points = list(zip(history.steps, values, strict=True))
    stride = -(-len(points) // MOST_POINTS)
    # Counted from the end, so that the last point, that of the final weights, is always there.
    return points[::-1][:: stride or 1][::-1]


def _chart(arm: ArmResult, quantity: str, y: Axis) -> Chart:
    curves = list(_curves(arm, quantity))
    x = Axis.around([0.0, *(float(step) for _, curve in curves for step, _ in curve)], LEFT, RIGHT, most=4)
    lines = (
        Line(split, " ".join(f"{x.position(step)},{y.position(value)}" for step, value in stretch))
        for split, curve in curves
        for stretch in _stretches(curve)
    )
    return Chart(
        quantity,
        tuple(lines),
        tuple((x.position(tick), x.label(tick)) for tick in x.ticks),
        tuple((y.position(tick), y.label(tick)) for tick in y.ticks),
        _describe(arm.name, quantity, curves),
    )


def _stretches(curve: Sequence[tuple[int, float | None]]) -> Iterator[list[Point]]:
    stretch: list[Point] = []
    for step, value in curve:
        if value is not None:
            stretch.append((step, value))
        elif stretch:
            yield stretch
            stretch = []
    if stretch:
        yield stretch


def _describe(arm: str, quantity: str, curves: Iterable[tuple[str, list[tuple[int, float | None]]]]) -> str:
    ends: list[str] = []
    for split, curve in curves:
        finite = [value for _, value in curve if value is not None]
        if finite and not any(end.startswith(split) for end in ends):
            ends.append(f"{split} {finite[0]:.2f} to {finite[-1]:.2f}")
    return f"{quantity.capitalize()} of {arm}: " + ("; ".join(ends) or "no finite values")


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
    """The accuracy of all arms on one axis.

    Attributes:
        ticks: position and label of each.
        reference: position of `continued`; None without that arm.
        from_zero: whether the axis starts at zero.
    """

    ticks: tuple[tuple[float, str], ...]
    reference: float | None
    rows: tuple[DotRow, ...]
    width: int = WIDTH
    from_zero: bool = False


def dot_plot(arms: Sequence[ArmResult]) -> DotPlot | None:
    """The plot for the arms, in their order; None if no arm has scores."""
    scores = {arm.name: list(scores_by_seed(arm).values()) for arm in arms}
    values = [100 * value for arm in scores.values() for score in arm for value in (score.accuracy, *_interval(score))]
    if not values:
        return None
    axis = Axis.around(values, MARGIN, WIDTH - MARGIN, most=4)
    reference = scores.get(CONTINUED) or []
    return DotPlot(
        ticks=tuple((axis.position(tick), axis.label(tick)) for tick in axis.ticks),
        reference=axis.position(100 * statistics.fmean(score.accuracy for score in reference)) if reference else None,
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
        mean=axis.position(mean),
        low=axis.position(low),
        high=axis.position(high),
        seeds=tuple(axis.position(100 * score.accuracy) for score in scores) if len(scores) > 1 else (),
        description=f"{mean:.1f} percent, interval {low:.1f} to {high:.1f}",
    )
