"""Edits by heatmaps in a whole loop: who is edited, what a map reaches, and what a run can show about maps."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from fakes import ColourCritic, NearestColour, Painter
from PIL import Image

from xaiaug import Arm, Context, Explanation, FeedbackLoop, ImageSource, Recipe, Sample
from xaiaug.curation import ImageFilter
from xaiaug.errors import ConfigError, DataError
from xaiaug.interfaces import Explainer
from xaiaug.records.pipeline import EXPLANATIONS
from xaiaug.results.maintenance import verify
from xaiaug.results.map_effect import _overlap
from xaiaug.store import Reader
from xaiaug.store.schema import IMAGES
from xaiaug.testing import small_splits

SIDE = 48
EDITS = ("saliency-edit", "saliency-edit-shuffled", "saliency-edit-none")
RECIPE = Recipe(steps=3, batch_size=8)


class Spot(Explainer):
    """Marks a place that the image decides: a corner or, if all are alike, the same corner."""

    def __init__(self, same: bool = False) -> None:
        self.same = same

    def explain(self, classifier, images, targets):
        return [self._explain(image, target) for image, target in zip(images, targets, strict=True)]

    def _explain(self, image, target):
        number = 0 if self.same else int(np.asarray(image, np.int64).sum())
        heatmap = np.full(image.size[::-1], 0.01, np.float32)
        rows, columns = (slice(0, 12), slice(-12, None))[number % 2], (slice(0, 12), slice(-12, None))[number // 2 % 2]
        heatmap[rows, columns] = 1
        return Explanation(heatmap, "spot", target, class_specific=False)


def run(folder, splits, explainer=None, arms=("continued", *EDITS), **settings):
    masks = folder.parent / "masks"
    if not masks.exists():
        write_masks(splits, masks)
    if any("saliency-edit" in str(arm) for arm in arms):
        settings.setdefault("synthesizers", {}).setdefault("saliency-edit", {})["masks"] = str(masks)
    loop = FeedbackLoop(
        NearestColour(),
        explainer or Spot(),
        ColourCritic(),
        Painter(),
        arms=list(arms),
        recipe=RECIPE,
        curation={"checks": ["broken", "duplicate"], "remakes": 1},
        settings={"mistakes": {"faithfulness": 0}, **settings},
    )
    return loop.run(splits, folder)


def write_masks(splits, folder):
    """A disc in the middle of every training image."""
    folder.mkdir()
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    mask = Image.fromarray((255 * (np.hypot(y, x) < 0.5)).astype(np.uint8))
    for sample in splits.train:
        mask.save(folder / f"{sample.id}.png")


@pytest.fixture(scope="module")
def splits():
    return small_splits({"train": 14, "guide": 10, "test": 8}, side=SIDE)


@pytest.fixture(scope="module")
def edited(splits, tmp_path_factory):
    return run(tmp_path_factory.mktemp("runs") / "edited", splits)


def lines_of(result):
    file = result.run_dir / "synthetic" / "metadata.jsonl"
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_training_images_and_no_others_are_edited(edited, splits):
    train = {sample.id: splits.labels[sample.label] for sample in splits.train}
    lines = lines_of(edited)
    assert lines and verify(edited.run_dir) == []
    for line in lines:
        details = json.loads(line["details"])
        assert line["case"] in train
        if details["operation"] == "erase":
            assert line["label"] == train[line["case"]]
        else:
            assert line["label"] == train[details["base"]] != train[line["case"]] == details["source_label"]


def test_every_arm_with_edits_has_as_many_of_each_class(edited):
    counts = [arm.synthetic for arm in edited.report.arms if arm.synthetic]
    assert len(counts) == 3 and all(count == counts[0] for count in counts) and sum(counts[0].values()) > 4


def test_another_map_gives_other_edits_whatever_the_synthesizer_of_the_run_is(edited):
    reader = Reader(edited.run_dir)
    used = {entry["arms"][0]: set(entry["used"]) for entry in reader.get_fact(IMAGES)}
    reader.close()
    assert set(used) == set(EDITS)
    assert all(used[one] != used[other] for one in EDITS for other in EDITS if one != other)
    assert edited.report.plugins.synthesizer.name == "Painter"
    assert edited.report.images.untestable == ()


def test_a_mark_that_is_always_at_one_place_cannot_test_the_explanation(splits, tmp_path):
    result = run(tmp_path / "run", splits, Spot(same=True), arms=EXPLANATIONS[1])
    (sentence,) = result.report.images.untestable
    assert "saliency-edit-shuffled cannot show" in sentence and "100%" in sentence
    assert any(note.text == sentence and note.kind == "warning" for note in result.report.notes)


def test_a_chain_that_does_not_react_to_a_map_says_so(splits, tmp_path):
    result = run(tmp_path / "run", splits, arms=EXPLANATIONS[0])
    (sentence,) = result.report.images.untestable
    assert "pixel for pixel" in sentence and "shuffled-map" in sentence


def test_without_training_images_an_arm_of_edits_is_left_out_or_refused(splits, tmp_path):
    classifier = NearestColour()
    bare = replace(splits, train=(), test=())
    classifier.prepare(Context(labels=splits.labels))
    classifier.fit(splits.train, (), recipe=RECIPE, seed=0)
    loop = FeedbackLoop(classifier, Spot(), arms="edits", settings={"experiment": {"fit_baseline": False}})
    result = loop.run(bare, tmp_path / "set", until="images")
    assert not (tmp_path / "set" / "synthetic").exists() or lines_of(result) == []
    loop = FeedbackLoop(classifier, Spot(), arms=["saliency-edit"], settings={"experiment": {"fit_baseline": False}})
    with pytest.raises(ConfigError, match="no training images"):
        loop.run(bare, tmp_path / "named", until="images")


def test_an_oracle_marks_the_true_region_and_is_refused_where_none_is_known(splits, tmp_path):
    with pytest.raises(ConfigError, match=r"saliency-edit-oracle.*\[data\] marks"):
        run(tmp_path / "none", splits, arms=["saliency-edit-oracle"])
    (tmp_path / "marks").mkdir()
    marks = {"marks": str(tmp_path / "marks")}
    with pytest.raises(DataError, match="holds no mask"):
        run(tmp_path / "empty", splits, arms=["saliency-edit-oracle"], data=marks)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[-12:, 18:30] = 255
    for sample in splits.train:
        Image.fromarray(mask).save(tmp_path / "marks" / f"{sample.id}.png")
    result = run(tmp_path / "run", splits, arms=["saliency-edit-oracle"], data=marks)
    regions = [json.loads(line["details"])["region"] for line in lines_of(result)]
    assert regions and all(_overlap(region, [18 / 48, 36 / 48, 30 / 48, 1]) > 0.6 for region in regions)


def test_parameters_of_a_further_synthesizer_stand_in_its_own_table(splits, tmp_path):
    table = {"synthesizers": {"saliency-edit": {"operation": "erase"}}}
    result = run(tmp_path / "run", splits, arms=["saliency-edit"], **table)
    assert {json.loads(line["details"])["operation"] for line in lines_of(result)} == {"erase"}
    with pytest.raises(ConfigError, match="no arm of this run makes images with it"):
        run(tmp_path / "run", splits, arms=["continued"], **table)
    with pytest.raises(ConfigError, match="has no parameter 'operatoin'"):
        run(tmp_path / "run", splits, arms=["saliency-edit"], synthesizers={"saliency-edit": {"operatoin": "erase"}})


def test_a_source_without_images_takes_none_from_the_others(splits, tmp_path):
    source = ImageSource(cases="train-correct", prompt="none", guidance="none", synthesizer="saliency-mask", map="none")
    without = Arm("nothing-to-mask", "", images=source)
    result = run(tmp_path / "run", splits, arms=["saliency-edit", without])
    assert [arm.name for arm in result.report.left_out] == ["nothing-to-mask"]
    assert sum(next(arm for arm in result.report.arms if arm.name == "saliency-edit").synthetic.values()) > 0


def test_an_edit_may_resemble_its_training_images_and_no_image_of_another_split(splits):
    def slightly_changed(sample: Sample) -> Image.Image:
        pixels = np.array(sample.open())
        pixels[:6, :6] = np.minimum(pixels[:6, :6].astype(int) + 12, 255)
        return Image.fromarray(pixels)

    image_filter = ImageFilter(("duplicate",), splits)
    for name in ("train", "guide", "test"):
        sample = splits[name][0]
        changed, parents = slightly_changed(sample), [{sample.id}]
        assert not image_filter.check([changed])[0].kept
        assert image_filter.check([changed], parents=parents)[0].kept is (name == "train")
        assert not image_filter.check([changed], parents=[{splits.train[1].id}])[0].kept
        assert not image_filter.check([sample.open()], parents=parents)[0].kept, "a copy stays a copy"


def test_mistakes_on_train_are_repeated_and_where_there_is_none_the_arm_is_left_out(splits, tmp_path):
    arms = ["continued", "oversampled-train-failures"]
    classifier = NearestColour()
    classifier.prepare(Context(labels=splits.labels))
    classifier.fit(splits.train, (), recipe=RECIPE, seed=0)
    predicted = classifier.predict_proba([sample.open() for sample in splits.train]).argmax(axis=1)
    right = tuple(one for one, label in zip(splits.train, predicted, strict=True) if one.label == label)
    result = run(tmp_path / "some", splits, arms=arms)
    real = {arm.name: arm.real for arm in result.report.arms}
    assert real["oversampled-train-failures"] - real["continued"] == len(splits.train) - len(right) > 0
    result = run(tmp_path / "none", replace(splits, train=right), arms=arms)
    assert [arm.name for arm in result.report.left_out] == ["oversampled-train-failures"]
    assert "all training images right" in result.report.left_out[0].reason
