"""Labels that look wrong are listed, no image is made from them, and a person's word brings them back."""

import csv

import numpy as np
import pytest
from fakes import ColourCritic, NearestColour, Painter, Ramp, paint_folder

from xaiaug import Critique, FeedbackLoop, Recipe, Splits
from xaiaug.errors import ConfigError, DataError, RunFolderError
from xaiaug.stages.suspect_labels import COLUMNS
from xaiaug.suspects import flag_by_confident_learning, format_methods


def test_confident_learning_finds_labels_that_were_turned_round():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 600)
    logits = 4 * np.eye(3)[truth] + rng.normal(0, 0.5, (600, 3))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = truth.copy()
    wrong = rng.choice(600, 20, replace=False)
    labels[wrong] = (truth[wrong] + 1) % 3
    found = flag_by_confident_learning(labels, probabilities.astype(np.float32))
    assert len(set(found) & set(wrong.tolist())) >= 17
    assert len(found) <= 24


def test_one_class_or_nothing_gives_no_suspect():
    assert flag_by_confident_learning(np.zeros(5, int), np.tile([0.2, 0.8], (5, 1))) == []
    assert flag_by_confident_learning(np.zeros(0, int), np.zeros((0, 2))) == []
    assert format_methods(["confident-learning", "critic"]) == "critic + confident-learning"


class Suspicious(ColourCritic):
    """Suspects every label of a case whose id begins with a digit below 8."""

    def _one(self, case):
        made = super()._one(case)
        suspect = case.id[0] in "01234567"
        return Critique(made.cause, made.prompt, guidance=made.guidance, label_suspect=suspect)


def go(folder, run_dir, **tables):
    loop = FeedbackLoop(
        NearestColour(),
        Ramp(),
        Suspicious(),
        Painter(),
        recipe=Recipe(steps=2, batch_size=8),
        images_per_mistake=2,
        settings=tables,
    )
    return loop.run(Splits.from_folder(folder), run_dir, until="images")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return paint_folder(tmp_path_factory.mktemp("painted"), {"train": 10, "guide": 30, "validation": 4, "test": 6})


def read(run_dir):
    with (run_dir / "suspects.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_no_image_is_made_from_a_suspect_until_a_person_says_its_label_is_right(folder, tmp_path):
    run_dir = tmp_path / "run"
    result = go(folder, run_dir)
    rows = read(run_dir)
    held = {row["id"] for row in rows}
    assert held and len(held) == result.report.mistakes.held
    assert all(row["flagged_by"] == "critic" and row["file"].startswith("guide/") for row in rows)
    assert not [case for case in result.mistakes if case.id in held and case.images]
    assert any("suspects.csv" in note.text for note in result.report.notes)
    first = rows[0]["id"]
    text = (run_dir / "suspects.csv").read_text().splitlines()
    column = text[0].split(",").index("label_is_right")
    cells = text[1].split(",")
    cells[column] = "Yes"
    (run_dir / "suspects.csv").write_text("\n".join([text[0], ",".join(cells), *text[2:]]) + "\n")
    again = go(folder, run_dir)
    assert again.report.mistakes.held == len(held) - 1
    assert next(case for case in again.mistakes if case.id == first).images
    assert read(run_dir)[0]["label_is_right"] == "yes"


def test_nobody_is_asked_where_that_is_set(folder, tmp_path):
    result = go(folder, tmp_path / "run", curation={"suspects": []})
    assert result.report.mistakes.held == 0 and not (tmp_path / "run" / "suspects.csv").exists()
    with pytest.raises(ConfigError, match="suspects"):
        go(folder, tmp_path / "other", curation={"suspects": ["guess"]})


def test_confident_learning_may_be_asked_too(folder, tmp_path):
    result = go(folder, tmp_path / "run", curation={"suspects": ["confident-learning"]})
    assert result.report.mistakes.held == len(read(tmp_path / "run") if result.report.mistakes.held else [])


def test_a_table_that_is_none_is_told(folder, tmp_path):
    go(folder, tmp_path / "run")
    (tmp_path / "run" / "suspects.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(RunFolderError, match="suspects.csv"):
        go(folder, tmp_path / "run")


def test_answers_saved_with_semicolons_count_and_a_table_without_ids_stays(folder, tmp_path):
    run_dir = tmp_path / "run"
    go(folder, run_dir)
    rows = read(run_dir)
    answers = ["yes", *["No"] * (len(rows) - 1)]
    with (run_dir / "suspects.csv").open("w", newline="", encoding="utf-8-sig") as file:
        table = csv.DictWriter(file, rows[0], delimiter=";")
        table.writeheader()
        table.writerows([{**row, "label_is_right": answer} for row, answer in zip(rows, answers, strict=True)])
    assert go(folder, run_dir).report.mistakes.held == len(rows) - 1
    assert [row["label_is_right"] for row in read(run_dir)] == ["yes", *["no"] * (len(rows) - 1)]
    (run_dir / "suspects.csv").write_text("file;label_is_right\na.png;yes\n")
    with pytest.raises(RunFolderError, match="no column 'label'"):
        go(folder, run_dir)
    assert (run_dir / "suspects.csv").read_text() == "file;label_is_right\na.png;yes\n"


@pytest.mark.parametrize(("answer", "name"), [("perhaps", "abc"), ("yes", "1,2E+15"), ("yes", "")])
def test_an_answer_that_is_not_understood_is_named(folder, tmp_path, answer, name):
    go(folder, tmp_path / "run")
    header = ",".join(COLUMNS)
    (tmp_path / "run/suspects.csv").write_text(f'{header}\nguide/a.png,cat,dog,0.9,critic,{answer},"{name}"\n')
    with pytest.raises(DataError, match="perhaps" if answer == "perhaps" else "has the id"):
        go(folder, tmp_path / "run")
