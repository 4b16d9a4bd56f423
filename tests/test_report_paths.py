"""The report names the file of each image and the arms that fix it; paths can be left out of one that is passed on."""

import json

import pytest
import report_example as example
from fakes import ColourCritic, NearestColour, Painter, Ramp, paint_folder
from hypothesis import given
from hypothesis import strategies as st

from xaiaug import FeedbackLoop, Recipe, Splits, open_run
from xaiaug.data import display_name
from xaiaug.report import Report
from xaiaug.report.paths import remove_paths
from xaiaug.report.schema_arms import ChangedImageRow
from xaiaug.report.schema_report import Data, Note

SETTINGS = {"mistakes": {"faithfulness": 0}, "curation": {"checks": ["constant"]}}


def loop(**report):
    return FeedbackLoop(
        NearestColour(),
        Ramp(),
        ColourCritic(),
        Painter(),
        arms=["generated+training"],
        recipe=Recipe(steps=3, batch_size=8),
        images_per_mistake=1,
        settings={**SETTINGS, "report": report},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return paint_folder(tmp_path_factory.mktemp("painted"), {"train": 20, "guide": 24, "validation": 4, "test": 24})


@pytest.fixture(scope="module")
def result(folder, tmp_path_factory):
    return loop().run(Splits.from_folder(folder), tmp_path_factory.mktemp("run") / "run")


def classify(folder, classifier, paths):
    """Which of the files a classifier gets right."""
    splits = Splits.from_folder(folder)
    samples = {display_name(sample): sample for name in ("guide", "test") for sample in splits[name]}
    predicted = classifier.predict_proba([samples[path].open() for path in paths]).argmax(axis=1)
    return [int(guess) == samples[path].label for path, guess in zip(paths, predicted, strict=True)]


def test_each_mistake_names_its_file_below_the_data_folder(folder, result):
    for case in result.mistakes:
        assert (folder / case.path).is_file() and case.path.split("/")[:2] == ["guide", case.label]
    page = result.report_path.read_text("utf-8")
    assert result.mistakes[0].path in page


def test_an_arm_fixes_a_mistake_if_it_gets_it_right(folder, result):
    (seed,) = next(arm for arm in result.report.arms if arm.name == "generated+training").seeds
    classifier = NearestColour.load(result.run_dir / seed.model)
    right = classify(folder, classifier, [case.path for case in result.mistakes])
    assert ["generated+training" in case.fixed_by for case in result.mistakes] == right
    assert {name for case in result.mistakes for name in case.fixed_by} <= {"generated+training", "continued"}


def test_test_images_that_arms_change_are_those_of_the_arms(folder, result):
    report = result.report
    rows = {row.id: row for row in report.changed}
    for arm in report.arms:
        if arm.changed:
            assert set(arm.changed.fixed) == {row.id for row in rows.values() if arm.name in row.fixed_by}
            assert set(arm.changed.broken) == {row.id for row in rows.values() if arm.name in row.broken_by}
    assert all((folder / row.path).is_file() and row.path.startswith("test/") for row in rows.values())
    assert all((row.label == row.predicted) == bool(row.broken_by) for row in rows.values())


def test_paths_are_left_out_where_that_is_asked_once_or_in_the_settings(folder, result):
    names = [case.path for case in result.mistakes]
    before = result.report_path.read_text("utf-8")
    result.write_report(paths=False)
    for file in ("report.json", "report.html"):
        text = (result.run_dir / file).read_text("utf-8")
        assert not any(name in text for name in names) and str(folder) not in text, file
    assert Report.read((result.run_dir / "report.json").read_text("utf-8")).cases[0].path is None
    result.write_report()
    assert result.report_path.read_text("utf-8") == before
    again = loop(paths=False).run(Splits.from_folder(folder), result.run_dir)
    assert names[0] not in again.report_path.read_text("utf-8")
    assert open_run(result.run_dir).mistakes[0].path == names[0], "the run folder keeps them"
    again.write_report(paths=True)
    assert names[0] in again.report_path.read_text("utf-8")


def test_no_path_of_a_machine_is_left_wherever_it_stands():
    paths = (
        "/home/some body/weights of mine/x.onnx",
        "/data/patients/17",
        r"C:\Users\Somebody\photos",
        "~/photos/private",
    )
    report = example.report(
        2,
        settings={"data": {"folder": paths[1], "guide": 0.1}, "classifier": {"name": "onnx", "file": paths[0]}},
        data=Data(labels=("cat", "dog"), warnings=("cat/a.jpg and dog/b.jpg are the same image", "few images")),
        notes=tuple(Note(kind="info", text=f"see {path} for more") for path in paths[1:]),
        cases=(example.case(path="guide/cat/1.jpg", failures=(example.failure(message=f"no file {paths[3]}"),)),),
        changed=(ChangedImageRow(id="t", path="test/dog/2.jpg", label="dog", predicted="cat"),),
    )
    text = json.dumps(remove_paths(report).model_dump(mode="json"), ensure_ascii=False)
    for hidden in ("patients/", "Users", "of mine", "some", "photos/", "a.jpg", "b.jpg", "1.jpg", "2.jpg", '"folder"'):
        assert hidden not in text, hidden
    for kept in ("…/x.onnx", "…/17", "…/photos", "…/private", "few images", "left out here: 1", '"guide": 0.1'):
        assert kept in text, kept


@pytest.mark.parametrize(
    "text",
    ["and/or", "3/4 of them", "https://example.org/a/b", "cat/dog", "a b", "-v/--verbose", "org/model", "1e-3/2"],
)
def test_what_is_no_path_from_the_root_stays(text):
    report = example.report(1, notes=(Note(kind="info", text=text),))
    assert remove_paths(report).notes[0].text == text


@given(st.text())
def test_any_text_can_be_searched_for_paths_and_keeps_what_is_none(text):
    report = example.report(1, notes=(Note(kind="info", text=text),))
    found = remove_paths(report).notes[0].text
    assert found == report.notes[0].text or any(mark in text for mark in "/\\")


def test_where_the_table_of_splits_was_changed_no_path_is_shown(folder, tmp_path):
    run = loop().run(Splits.from_folder(folder), tmp_path / "run", "mistakes")
    assert all(case.path for case in run.mistakes)
    with (run.run_dir / "splits.csv").open("a", encoding="utf-8") as table:
        table.write("guide/cat/other.png,cat,guide,0\n")
    assert all(case.path is None for case in open_run(run.run_dir).mistakes)
