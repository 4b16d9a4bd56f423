"""A recommendation says what to do, what it gains with its interval, and what it costs; or what would tell."""

import pytest

from xaiaug.arms import ROWS, advise, is_control
from xaiaug.arms.advice import ADVICE
from xaiaug.records import Arm
from xaiaug.report.schema_arms import ArmResult, LabelsUsedRow
from xaiaug.results.recommendation import describe_remedies
from xaiaug.statistics import AllPairs, DifferenceEstimate, Spread


def arm(name, labels=0, new=0, passes=100):
    return ArmResult(
        name=name,
        advice=advise(ROWS[name]),
        trained=name != "baseline",
        used=LabelsUsedRow(guide_labels=labels),
        synthetic={"cat": new} if new else {},
        image_passes=passes,
    )


def describe(scores, error=0.001, metric="accuracy"):
    """Of arms and their scores, cheapest first, compared over 5 seeds and 1,000 images."""
    arms, values = zip(*scores, strict=True)
    pairs = {
        (i, j): DifferenceEstimate(values[j] - values[i], Spread(error**2 / 2, error**2 / 2, 5, 1000))
        for i in range(len(values))
        for j in range(i + 1, len(values))
    }
    return describe_remedies(arms, AllPairs(len(values), pairs), 0.02, metric, {"generated+training": 1.5})


def test_the_sentence_says_what_to_do_what_it_gains_and_what_it_costs():
    found = describe(
        [(arm("baseline"), 0.7), (arm("continued"), 0.71), (arm("class-balanced-head", labels=1500), 0.76)]
    )
    assert found.arm == "class-balanced-head"
    assert found.sentence.startswith(
        "Refit the last layer on the guide images: +6.0 points of accuracy over the baseline (+5."
    )
    assert "1,500 more labels, no new images." in found.sentence
    assert "No other remedy is more than 2 points better." in found.sentence


def two_alike(error):
    return describe([(arm("baseline"), 0.8), (arm("continued"), 0.8)], error=error)


def test_dollars_are_said_where_there_are_any():
    found = describe([(arm("baseline"), 0.7), (arm("generated+training", labels=200, new=300), 0.8)])
    assert "200 more labels, 300 new images, $1.50." in found.sentence


def test_where_nothing_helps_the_classifier_is_left_as_it_is():
    found = describe([(arm("baseline"), 0.8), (arm("continued"), 0.795), (arm("generated+training", new=300), 0.81)])
    assert found.arm == "baseline"
    assert found.sentence == "Leave the classifier as it is. No other remedy is more than 2 points better."


def test_what_would_tell_stands_where_nothing_can_be_recommended():
    found = describe([(arm("baseline"), 0.8), (arm("continued"), 0.801)], error=0.015)
    assert found.arm is None and found.seeds_needed > 5
    assert f"about {found.seeds_needed} seeds" in found.sentence and "inconclusive" in found.sentence
    assert "times as many seeds and test images would settle it" in two_alike(error=0.1).sentence
    assert "no number of seeds would settle it" in two_alike(error=2).sentence


def test_gains_are_none_for_the_baseline_and_without_one():
    first, second = describe([(arm("baseline"), 0.8), (arm("continued"), 0.9)]).remedies
    assert first.gain is None and second.gain == pytest.approx(0.1) and second.low < 0.1 < second.high
    assert all(row.gain is None for row in describe([(arm("continued"), 0.8), (arm("rebalanced"), 0.9)]).remedies)


def test_every_remedy_of_the_rows_has_advice_of_its_own_and_no_control_has():
    for name, row in ROWS.items():
        assert (name in ADVICE) != is_control(row), name
    assert set(ADVICE) <= set(ROWS) and len(set(ADVICE.values())) == len(ADVICE)
    assert advise(Arm("mine", "")) == "Train as the arm mine"
