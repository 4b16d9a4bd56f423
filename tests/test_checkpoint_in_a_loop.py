"""A run or a diagnosis of a checkpoint whose labels are not just the folders, or that lies elsewhere now."""

import shutil

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from xaiaug import FeedbackLoop, Recipe, Splits
from xaiaug.errors import DataError
from xaiaug.loop.diagnose import diagnose

CLASSES = ("cat", "dog")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    for number, name in enumerate(CLASSES):
        (root / name).mkdir()
        for index in range(20):
            pixels = np.random.default_rng(100 * number + index).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((48, 48)).save(root / name / f"{index}.png")
    return root


def build(folder, names):
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=16,
        initializer_range=0.3,
        id2label=dict(enumerate(names)),
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.ViTForImageClassification(config).save_pretrained(folder)
    transformers.ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def run(photos, run_dir, checkpoint, steps=1, **table):
    trained = []

    def watch(progress):
        name = progress.stage.removeprefix("train ")
        if name != progress.stage and progress.done == 0 and not progress.note and name not in trained:
            trained.append(name)

    loop = FeedbackLoop(
        "transformers",
        recipe=Recipe(steps=steps, batch_size=4),
        settings={
            "classifier": {"checkpoint": str(checkpoint), **table},
            "mistakes": {"max": 1, "faithfulness": 0},
            "experiment": {"arms": ["baseline", "continued"]},
        },
    )
    return loop.run(Splits.from_folder(photos), run_dir, watch=watch), trained


def test_trainings_of_earlier_settings_and_of_a_moved_checkpoint_are_found_again(photos, tmp_path):
    build(tmp_path / "checkpoint", CLASSES)
    first, trained = run(photos, tmp_path / "run", tmp_path / "checkpoint")
    assert trained == ["baseline", "continued"]
    weights = (tmp_path / "run/models/baseline/0/model.safetensors").read_bytes()
    assert run(photos, tmp_path / "run", tmp_path / "checkpoint", steps=2)[1] == ["baseline", "continued"]
    assert (tmp_path / "run/models/baseline/0/model.safetensors").read_bytes() != weights
    shutil.move(tmp_path / "checkpoint", tmp_path / "moved")
    again, trained = run(photos, tmp_path / "run", tmp_path / "moved")
    assert trained == []
    assert (tmp_path / "run/models/baseline/0/model.safetensors").read_bytes() == weights
    assert [arm.seeds[0].model for arm in again.report.arms] == ["models/baseline/0", "models/continued/0"]
    assert again.report.arms == first.report.arms


def test_a_head_that_is_not_used_stands_in_the_notes_of_the_report(photos, tmp_path):
    build(tmp_path / "checkpoint", ("LABEL_0", "LABEL_1"))
    result, _ = run(photos, tmp_path / "run", tmp_path / "checkpoint")
    assert any("LABEL_0, LABEL_1" in note.text and "cat, dog" in note.text for note in result.report.notes)
    table = {"LABEL_0": "cat", "LABEL_1": "dog"}
    result, _ = run(photos, tmp_path / "run", tmp_path / "checkpoint", labels=table)
    assert not any("LABEL_0" in note.text for note in result.report.notes)


def test_a_classifier_of_more_classes_is_diagnosed_on_those_that_are_there(photos, tmp_path):
    build(tmp_path / "checkpoint", ["bee", "dog", "owl", *(f"other {index}" for index in range(60)), "cat"])
    result = diagnose(tmp_path / "checkpoint", photos, tmp_path / "run", most=2)
    assert result.report.data.labels[:3] == ("cat", "dog", "bee")
    assert {case.label for case in result.report.cases} <= set(CLASSES)
    assert any(pair.predicted not in CLASSES for pair in result.report.mistakes.by_pair)
    (note,) = [note.text for note in result.report.notes if "without images in the data" in note.text]
    assert "62 classes" in note
    assert len(note) < 300


def test_a_classifier_of_other_classes_is_refused_in_few_words(photos, tmp_path):
    build(tmp_path / "checkpoint", [f"other {index}" for index in range(1000)])
    with pytest.raises(DataError, match=r"994 more.*the data have cat, dog.*labels = ") as caught:
        diagnose(tmp_path / "checkpoint", photos, tmp_path / "run", most=1)
    assert len(str(caught.value)) < 1200
