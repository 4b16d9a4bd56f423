"""Axes, curves, dots and confusion: every mark is inside its chart, and nothing is left out silently."""

import pytest
import report_example as example
from hypothesis import given
from hypothesis import strategies as st

from xaiaug.report.charts import BOTTOM, LEFT, MOST_POINTS, RIGHT, TOP, WIDTH, Axis, arm_curves, dot_plot
from xaiaug.report.confusion import MOST_PAIRS, confusion_tables
from xaiaug.report.schema_arms import ArmResult, Curves, Scores, SeedResult
from xaiaug.report.schema_report import Data

numbers = st.floats(-1e12, 1e12, allow_nan=False).filter(lambda value: value == 0 or abs(value) > 1e-9)


@given(st.lists(numbers, max_size=8), st.integers(2, 8))
def test_an_axis_holds_all_values_between_few_round_ticks(values: list[float], most: int) -> None:
    axis = Axis.around(values, 0, 100, most)
    assert 2 <= len(axis.ticks) <= most + 2
    assert len({axis.label(tick) for tick in axis.ticks}) == len(axis.ticks)
    assert all(-0.1 <= axis.position(value) <= 100.1 for value in values)


def test_ticks_are_round() -> None:
    assert Axis.around([0.62, 0.91], 0, 1).ticks == pytest.approx((0.6, 0.7, 0.8, 0.9, 1.0))
    assert [Axis.around([3, 298], 0, 1).label(tick) for tick in Axis.around([3, 298], 0, 1).ticks] == [
        "0", "100", "200", "300",
    ]  # fmt: skip


def history(losses: list[float | None], points: int) -> ArmResult:
    zeros = (0.0,) * points
    curves = Curves(
        steps=tuple(range(1, points + 1)),
        train_loss=tuple(losses),
        train_accuracy=zeros,
        validation_loss=(None,) * points,
        validation_accuracy=zeros,
    )
    return ArmResult(name="arm", seeds=(SeedResult(seed=0, history=curves),))


def test_every_point_of_a_curve_lies_inside_its_chart() -> None:
    for arm in arm_curves(example.report(seeds=3)):
        assert [chart.quantity for chart in arm.charts] == ["loss", "accuracy"]
        for chart in arm.charts:
            assert chart.lines
            for line in chart.lines:
                places = [tuple(map(float, point.split(","))) for point in line.points.split()]
                assert all(LEFT <= x <= RIGHT and TOP <= y <= BOTTOM for x, y in places)


def test_a_curve_breaks_where_a_loss_was_not_finite_and_one_without_values_is_not_drawn() -> None:
    (arm,) = arm_curves(example.report(arms=(history([0.5, 0.4, None, 0.3, 0.2], 5),)))
    loss = arm.charts[0]
    assert [(line.split, len(line.points.split())) for line in loss.lines] == [("train", 2), ("train", 2)]
    assert loss.description == "Loss of arm: train 0.50 to 0.20"


def test_a_long_curve_is_thinned_and_keeps_its_last_point() -> None:
    (arm,) = arm_curves(example.report(arms=(history([1.0] * 3999 + [0.0], 4000),)))
    points = arm.charts[0].lines[0].points.split()
    assert len(points) <= MOST_POINTS
    assert points[-1] == f"{float(RIGHT)},{float(BOTTOM)}"


def test_arms_without_curves_have_no_chart() -> None:
    assert arm_curves(example.report(arms=(ArmResult(name="later"), history([], 0)))) == ()


def test_dots_stand_on_one_axis_with_the_reference_at_continued() -> None:
    arms = example.arms(seeds=3)
    plot = dot_plot(arms)
    rows = dict(zip(example.ARMS, plot.rows, strict=True))
    assert plot.reference == rows["continued"].mean
    assert rows["baseline"].mean < rows["continued"].mean < rows["generated+training"].mean
    assert all(0 < row.low < row.mean < row.high < WIDTH for row in plot.rows)
    assert len(rows["continued"].seeds) == 3
    assert rows["baseline"].seeds == ()


def test_the_plot_knows_whether_its_axis_starts_at_zero() -> None:
    assert not dot_plot(example.arms(seeds=3)).from_zero
    scores = Scores(n=10, accuracy=0.0, accuracy_interval=(0.0, 0.3), balanced_accuracy=0, precision=0, recall=0, f1=0)
    assert dot_plot((ArmResult(name="arm", seeds=(SeedResult(seed=0, metrics=scores),)),)).from_zero


def test_an_arm_without_scores_has_no_dot_and_a_run_without_scores_no_plot() -> None:
    assert dot_plot((*example.arms(), ArmResult(name="later"))).rows[-1].mean is None
    assert dot_plot((ArmResult(name="later"),)) is None
    assert dot_plot(()) is None


def test_few_classes_give_a_matrix_summed_over_seeds() -> None:
    found = {confusion.arm: confusion for confusion in confusion_tables(example.report(seeds=2))}["continued"]
    first, second = example.scores(0.80).confusion, example.scores(0.81).confusion
    assert [[cell.count for cell in row] for row in found.matrix] == [
        [a + b for a, b in zip(*rows, strict=True)] for rows in zip(first, second, strict=True)
    ]
    assert found.seeds == 2


def test_a_single_confused_image_leaves_a_shade_and_none_leaves_none() -> None:
    right, wrong = confusion_tables(example.report(arms=example.arms()))[0].matrix[0]
    assert (right.shade, wrong.shade) == (4, 2)
    perfect = ArmResult(name="a", seeds=(SeedResult(seed=0, metrics=example.scores(1.0)),))
    assert [cell.shade for cell in confusion_tables(example.report(arms=(perfect,)))[0].matrix[0]] == [5, 0]


def test_many_classes_give_the_worst_pairs_and_say_how_many_there_are() -> None:
    labels = tuple(f"class {number}" for number in range(200))
    report = example.report(data=Data(labels=labels), arms=example.arms(labels=labels))
    confusion = confusion_tables(report)[0]
    assert confusion.matrix == ()
    assert len(confusion.pairs) == MOST_PAIRS
    assert confusion.pair_count == 200
    assert confusion.pairs[0] == ("class 0", "class 1", 44)
