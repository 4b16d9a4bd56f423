"""The conclusion states what was measured, and no more."""

import pytest
import report_example as example

from xaiaug.report.conclusion import explain_table, list_limits, write_conclusion
from xaiaug.report.schema_cases import Mistakes
from xaiaug.report.schema_report import Data


def test_a_verdict_is_repeated_word_for_word() -> None:
    assert write_conclusion(example.report(verdict=example.verdict("Inconclusive."))) == "Inconclusive."


def test_without_a_verdict_two_accuracies_and_their_difference_are_given() -> None:
    sentence = write_conclusion(example.report())
    assert "91.0 %" in sentence
    assert "80.0 %" in sentence
    assert "+11.0 percentage points" in sentence


def test_a_worse_arm_is_reported_as_plainly() -> None:
    better, worse = example.scores(0.9), example.scores(0.7)
    arms = tuple(
        arm.model_copy(update={"seeds": (arm.seeds[0].model_copy(update={"metrics": scores}),)})
        for arm, scores in zip(example.arms()[1:4:2], (better, worse), strict=True)
    )
    assert "−20.0 percentage points" in write_conclusion(example.report(arms=arms))


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("worst-class", ("60.0 % by worst-class", "50.0 %", "+10.0")),
        ("macro-f1", ("91.0 % by macro-f1", "80.0 %", "+11.0")),
    ],
)
def test_the_scores_and_their_difference_are_of_the_same_metric(metric: str, words: tuple[str, ...]) -> None:
    arms = tuple(
        arm.model_copy(update={"seeds": (arm.seeds[0].model_copy(update={"chosen": chosen}),)})
        for arm, chosen in zip(example.arms()[1:4], (0.5, 0.4, 0.6), strict=True)
    )
    sentence = write_conclusion(example.report(arms=arms, settings={"experiment": {"metric": metric}}))
    assert all(word in sentence for word in words) and "test accuracy" not in sentence


@pytest.mark.parametrize(
    ("found", "size", "words"),
    [
        (0, 200, "made no mistakes on 200 guide images"),
        (2, 200, "misclassifies 2 of 200 guide images (1.0 %); the run analysed all of these"),
        (0, 0, "stopped before"),
    ],
)
def test_a_run_without_arms_reports_its_mistakes(found: int, size: int, words: str) -> None:
    mistakes = Mistakes(found=found, guide_size=size, chosen=found)
    assert words in write_conclusion(example.report(found, arms=(), cases=(), mistakes=mistakes))


def test_each_limitation_of_a_run_is_listed() -> None:
    data = Data(labels=("cat", "dog"), drawn=True, guide_is_validation=True)
    assert list_limits(example.report(9, complete=False, data=data)) == (
        "unfinished", "drawn world", "one seed", "few mistakes", "guide = validation",
    )  # fmt: skip


def test_a_run_without_limitations_lists_none() -> None:
    assert list_limits(example.report(30, seeds=3, data=Data(labels=("cat", "dog")))) == ()
    assert list_limits(example.report(30, seeds=2, data=Data(labels=("cat", "dog")))) == ("2 seeds",)


def test_unequal_budgets_are_called_unfair() -> None:
    first, *rest = example.arms()[1:]
    fair, unfair = (
        example.report(arms=(first, *rest)),
        example.report(arms=(first.model_copy(update={"steps": 1}), *rest)),
    )
    assert "300 steps of 16 images" in explain_table(fair)[0]
    assert "not fair" in explain_table(unfair)[0]


def test_the_uncertainty_from_the_test_size_is_given_in_points() -> None:
    low, high = example.interval(0.8, 400)
    assert any(
        f"{50 * (high - low):.1f} percentage points" in sentence.replace("\xa0", " ")
        for sentence in explain_table(example.report(arms=example.arms()[1:2]))
    )
    assert explain_table(example.report(arms=())) == ()
