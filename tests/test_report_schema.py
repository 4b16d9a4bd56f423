"""report.json: read back equal, closed to unknown fields, and the same in two equal runs but for `run`."""

import json

import numpy as np
import pytest
import report_example as example
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from xaiaug.errors import RecordError
from xaiaug.metrics import evaluate
from xaiaug.report import Report
from xaiaug.report.schema_arms import Curves, Scores
from xaiaug.report.schema_cases import CritiqueRow
from xaiaug.report.schema_report import Data, Run


def test_a_report_is_read_back_equal() -> None:
    report = example.report(5, seeds=2, verdict=example.verdict())
    assert Report.read(report.dump()) == report
    assert Report.model_validate_json(report.dump()) == report


def test_the_dump_is_indented_json_in_the_order_of_the_schema() -> None:
    text = example.report().dump()
    assert text.startswith('{\n  "schema_version": 1,\n  "run": {\n')
    assert text.endswith("}\n")
    assert list(json.loads(text)) == list(Report.model_fields)


@pytest.mark.parametrize("place", [(), ("run",), ("data",), ("arms", 0), ("arms", 0, "seeds", 0), ("cases", 0)])
def test_an_unknown_field_is_refused_wherever_it_stands(place: tuple[str | int, ...]) -> None:
    plain = json.loads(example.report().dump())
    part = plain
    for step in place:
        part = part[step]
    part["surprise"] = 1
    with pytest.raises(RecordError, match="surprise"):
        Report.read(json.dumps(plain))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema_version": 2, "data": {"labels": []}}', '{"data": {"labels": [1]}}']
)
def test_what_is_no_report_is_refused_with_the_place_and_what_to_do(text: str) -> None:
    with pytest.raises(RecordError, match=r"first at /.*write_report"):
        Report.read(text)


def test_a_report_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        example.report().complete = False


def test_two_equal_runs_differ_in_run_alone() -> None:
    here, there = example.report(), example.report(run=Run(name="again", started="2026-04-01T00:00:00Z", resumed=2))
    first, second = json.loads(here.dump()), json.loads(there.dump())
    assert {name for name in first if first[name] != second[name]} == {"run"}


@given(st.text(st.characters(), max_size=40))
def test_any_text_survives_the_way_through_the_file(text: str) -> None:
    report = example.report(1, cases=(example.case(critique=CritiqueRow(cause=text)),))
    assert Report.read(report.dump()) == report


@given(st.lists(st.floats() | st.none(), max_size=6))
def test_curves_take_any_numbers_and_keep_the_finite_ones(values: list[float | None]) -> None:
    blank = tuple(0.0 for _ in values)
    curves = Curves(
        steps=tuple(range(len(values))),
        train_loss=tuple(values),
        train_accuracy=blank,
        validation_loss=blank,
        validation_accuracy=blank,
    )
    assert curves.train_loss == tuple(None if value is None or not np.isfinite(value) else value for value in values)


def test_curves_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValidationError, match="equal length"):
        Curves(steps=(1, 2), train_loss=(0.1,))


def test_settings_keep_tuples_as_lists_and_undefined_numbers_as_null() -> None:
    report = Report(data=Data(labels=("a", "b")), settings={"recipe": {"class_weights": (1.0, 2.0), "x": float("nan")}})
    assert report.settings == {"recipe": {"class_weights": [1.0, 2.0], "x": None}}


def test_scores_are_what_the_metrics_give() -> None:
    probabilities = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.6, 0.4, 0.0]])
    metrics = evaluate(np.array([0, 1, 1]), probabilities, ("a", "b", "absent"), [{"coat": "dark"}] * 3)
    scores = Scores.model_validate(metrics.to_json())
    assert json.loads(scores.model_dump_json()) == json.loads(json.dumps(metrics.to_json()))
