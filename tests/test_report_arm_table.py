"""The table of arms holds the same values in every format."""

import csv
import io
import json

import pytest
import report_example as example

from xaiaug.errors import ConfigError
from xaiaug.report.arm_table import FORMATS, HEADS, Spread, format_percent, format_points, format_table, summarise_arms
from xaiaug.report.schema_arms import ArmResult
from xaiaug.report.schema_report import Report


def test_text_is_aligned_and_its_numbers_end_in_one_column() -> None:
    lines = format_table(example.report(seeds=3)).splitlines()
    assert [head for head in HEADS if head in lines[0]] == list(HEADS)
    assert {len(line) for line in lines if not line.endswith("–")} == {len(lines[1])}
    assert [line.split()[0] for line in lines[2:]] == list(example.ARMS)


def test_differences_are_taken_seed_by_seed() -> None:
    rows = {row.name: row for row in summarise_arms(example.report(seeds=3))}
    # Every arm of the example gains a point a seed, so that the differences do not vary although accuracies do.
    assert rows["generated+training"].accuracy.sd == pytest.approx(0.01)
    assert rows["generated+training"].difference.mean == pytest.approx(0.11)
    assert rows["generated+training"].difference.sd == pytest.approx(0, abs=1e-12)
    assert rows["continued"].difference == Spread()
    # The baseline is one classifier: it is compared with every seed of the others.
    assert rows["baseline"].difference.mean == pytest.approx(0.78 - 0.81)


def test_without_continued_no_difference_is_shown() -> None:
    arms = tuple(arm for arm in example.arms() if arm.name != "continued")
    assert all(row.difference == Spread() for row in summarise_arms(example.report(arms=arms)))


def test_one_seed_has_no_deviation() -> None:
    assert "±" not in format_table(example.report(seeds=1))
    assert "±" in format_table(example.report(seeds=2))


def test_an_arm_without_scores_has_dashes() -> None:
    line = format_table(example.report(arms=(ArmResult(name="later"),))).splitlines()[-1]
    assert line.split() == ["later", "0", "0", "0", "–", "–", "–", "–"]


def test_csv_and_json_give_the_same_plain_numbers() -> None:
    report = example.report(seeds=2)
    rows = json.loads(format_table(report, "json"))
    read = list(csv.DictReader(io.StringIO(format_table(report, "csv"))))
    assert [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows] == read
    assert rows[-1]["accuracy"] == 0.915
    assert rows[-1]["difference"] == 0.11


def test_markdown_and_latex_escape_what_would_end_a_cell() -> None:
    report = example.report(arms=(ArmResult(name="a|b&c_d\\\n%"),))
    assert r"a\|b&c_d\\ %" in format_table(report, "markdown")
    assert r"a|b\&c\_d\textbackslash{} \% &" in format_table(report, "latex")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_a_line_for_no_arms_and_ends_with_a_newline(name: str) -> None:
    assert format_table(example.report(arms=()), name).endswith("\n")


def test_an_unknown_format_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'markdown'"):
        format_table(example.report(), "markdwon")


@pytest.mark.parametrize(("value", "shown"), [(0.0, "+0.0"), (-0.0004, "+0.0"), (0.0321, "+3.2"), (-0.5, "−50.0")])
def test_points_carry_a_sign_and_never_a_minus_zero(value: float, shown: str) -> None:
    assert format_points(Spread(value)) == shown


def test_percentages_have_one_digit() -> None:
    assert format_percent(Spread(0.9125, 0.0044)) == "91.2 ± 0.4"
    assert format_percent(Spread()) == "–"


def with_metric(metric: str, chosen: float | None) -> Report:
    arms = tuple(
        arm.model_copy(update={"seeds": tuple(seed.model_copy(update={"chosen": chosen}) for seed in arm.seeds)})
        for arm in example.arms()
    )
    return example.report(arms=arms, settings={"experiment": {"metric": metric}})


@pytest.mark.parametrize("kind", FORMATS)
def test_a_metric_that_was_chosen_stands_in_the_table(kind: str) -> None:
    shown = format_table(with_metric("worst-group", 0.4321), kind)
    assert ("worst_group" if kind in ("csv", "json") else "worst-group") in shown
    assert ("0.4321" if kind in ("csv", "json") else "43.2") in shown
    for metric in ("accuracy", "balanced-accuracy", "macro-f1"):
        assert format_table(with_metric(metric, None), kind) == format_table(example.report(), kind)
