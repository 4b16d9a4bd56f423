"""Loss and accuracy over the steps of each arm's training, as lines on small charts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from .axes import Axis
from .schema import Report
from .schema_arms import ArmResult, Curves

LEFT, RIGHT, TOP, BOTTOM = 40, 326, 10, 164
MOST_POINTS = 120
SPLITS = ("train", "validation", "test")

Point = tuple[int, float]


@dataclass(frozen=True)
class Line:
    """A stretch without gaps: `points` as SVG wants them, of the split "train", "validation" or "test"."""

    split: str
    points: str


@dataclass(frozen=True)
class Chart:
    """One chart: its lines, its ticks (place and label), and the same in words.

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
    """Charts for every arm with curves; arms share the vertical axis, so that they can be compared by eye."""
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
                yield split, _thinned(seed.history, values)


def _thinned(history: Curves, values: Sequence[float | None]) -> list[tuple[int, float | None]]:
    points = list(zip(history.steps, values, strict=True))
    stride = -(-len(points) // MOST_POINTS)
    # Counted from the end, so that the last point, the one the weights belong to, is always there.
    return points[::-1][:: stride or 1][::-1]


def _chart(arm: ArmResult, quantity: str, y: Axis) -> Chart:
    curves = list(_curves(arm, quantity))
    x = Axis.around([0.0, *(float(step) for _, curve in curves for step, _ in curve)], LEFT, RIGHT, most=4)
    lines = (
        Line(split, " ".join(f"{x.place(step)},{y.place(value)}" for step, value in stretch))
        for split, curve in curves
        for stretch in _stretches(curve)
    )
    return Chart(
        quantity,
        tuple(lines),
        tuple((x.place(tick), x.label(tick)) for tick in x.ticks),
        tuple((y.place(tick), y.label(tick)) for tick in y.ticks),
        _described(arm.name, quantity, curves),
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


def _described(arm: str, quantity: str, curves: Iterable[tuple[str, list[tuple[int, float | None]]]]) -> str:
    ends: list[str] = []
    for split, curve in curves:
        finite = [value for _, value in curve if value is not None]
        if finite and not any(end.startswith(split) for end in ends):
            ends.append(f"{split} {finite[0]:.2f} to {finite[-1]:.2f}")
    return f"{quantity.capitalize()} of {arm}: " + ("; ".join(ends) or "no finite values")
