"""A map of what the classifier reads is nearly perfect; a constant one is as good as a random one."""

import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from one_patch import CELLS, SIDE, OnePatch, explained, on_patch, one_hot, picture
from PIL import Image

import xaiaug.quality
from xaiaug import Failure
from xaiaug.errors import DataError, PluginError
from xaiaug.quality import count_predictions

STEPS = CELLS * CELLS  # one cell a step


def measured(maps, *, seed=0, **options):
    images = [picture(i) for i in range(len(maps))]
    return xaiaug.faithfulness(OnePatch(), images, maps, **{"steps": STEPS, "seed": seed, **options})


def test_no_module_hides_behind_the_function():
    assert callable(xaiaug.faithfulness)
    for path in Path(xaiaug.quality.__path__[0]).glob("[a-z]*.py"):
        assert isinstance(importlib.import_module(f"xaiaug.quality.{path.stem}"), ModuleType)
        assert isinstance(getattr(xaiaug.quality, path.stem), ModuleType)


def test_an_oracle_is_as_good_as_the_steps_allow():
    found = measured([explained(one_hot())] * 3)
    # The first step takes or gives the patch: half a step is lost.
    assert found.measures["deletion"].values == pytest.approx(0.5 / STEPS)
    assert found.measures["insertion"].values == pytest.approx(1 - 0.5 / STEPS)
    assert found.curves["deletion"][0].tolist() == [1.0] + [0.0] * STEPS
    assert found.shares.tolist() == pytest.approx(np.linspace(0, 1, STEPS + 1))


def test_the_opposite_of_an_oracle_is_as_bad_as_can_be():
    found = measured([explained(1 - one_hot())] * 3)
    assert found.measures["deletion"].values == pytest.approx(1 - 0.5 / STEPS)
    assert found.measures["insertion"].values == pytest.approx(0.5 / STEPS)


def test_an_oracle_is_better_than_random_its_opposite_worse_and_a_constant_map_neither():
    count = 24
    assert measured([explained(one_hot())] * count, steps=8).outcome == "better"
    assert measured([explained(1 - one_hot())] * count, steps=8).outcome == "worse"
    constant = measured([explained(np.full((CELLS, CELLS), 0.3, np.float32))] * count, steps=8)
    assert constant.outcome == "no better"
    assert "do not read them as reasons" in constant.sentence


def test_a_constant_map_equals_random_maps_in_expectation():
    image, flat = picture(), explained(np.ones((CELLS, CELLS), np.float32))
    gains = [
        xaiaug.faithfulness(OnePatch(), [image], [flat], masks=[on_patch()], steps=8, random_maps=2, seed=seed)
        for seed in range(150)
    ]
    for name in ("deletion", "insertion"):
        each = np.array([found.measures[name].gain for found in gains])
        assert abs(each.mean()) < 3 * each.std() / len(each) ** 0.5
        assert each.std() > 0.1, "single ones do differ"
    assert gains[0].measures["pointing"].values == pytest.approx(1 / STEPS), "a blind guess"
    assert gains[0].measures["energy"].values == pytest.approx(1 / STEPS)


def test_rounding_does_not_order_a_degenerate_map():
    grid = np.full((CELLS, CELLS), 1 / 3, np.float32)
    bent = explained(grid)
    bent.heatmap[:] += np.linspace(0, 1e-7, SIDE, dtype=np.float32)
    assert measured([bent]).measures["deletion"].values == measured([explained(grid)]).measures["deletion"].values


@settings(max_examples=20, deadline=None)
@given(
    grid=arrays.arrays(
        np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.floats(-5, 5, width=32)
    ),
    size=st.tuples(st.integers(9, 40), st.integers(9, 40)),
    unseen=st.integers(0, 3),
    seed=st.integers(0, 9),
)
def test_every_measure_lies_between_0_and_1(grid, size, unseen, seed):
    width, height = size
    heatmap = np.array(Image.fromarray(grid).resize(size), np.float32)
    heatmap[:, :unseen] = np.nan
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    mask = np.where(rng.random((height, width)) < 0.1, np.nan, rng.random((height, width)) < 0.5)
    one = xaiaug.Explanation(heatmap, "any", 1, True, grid)
    found = xaiaug.faithfulness(Brightness(), [image], [one], masks=[mask], steps=3, random_maps=1, seed=seed)
    for measure in found.measures.values():
        for values in (measure.values, measure.random):
            assert ((values >= 0) & (values <= 1)).all()
        assert -1 <= measure.gain <= 1
    assert found.interval() is None and found.outcome == "too few images"


class Brightness(OnePatch):
    """Class 1 where it is bright."""

    def predict_proba(self, images):
        bright = np.array([np.asarray(image).mean() / 255 for image in images], np.float32)
        return np.stack([1 - bright, bright], axis=1)


def test_an_image_scores_the_same_alone_as_among_others():
    rng = np.random.default_rng(3)
    maps = [explained(rng.random((CELLS, CELLS), np.float32)) for _ in range(4)]
    images = [picture(i) for i in range(4)]
    together = xaiaug.faithfulness(OnePatch(), images, maps, steps=5)
    for i in range(4):
        alone = xaiaug.faithfulness(OnePatch(), [images[i]], [maps[i]], steps=5)
        for name, measure in alone.measures.items():
            assert measure.values[0] == together.measures[name].values[i]
            assert measure.random[0] == together.measures[name].random[i]


def test_methods_are_compared_with_the_same_random_maps():
    good, bad = measured([explained(one_hot())]), measured([explained(1 - one_hot())])
    assert good.measures["deletion"].random == bad.measures["deletion"].random


def test_what_the_model_did_not_see_is_never_touched():
    asked = []

    class Watching(OnePatch):
        def predict_proba(self, images):
            asked.extend(images)
            return super().predict_proba(images)

    one = explained(np.random.default_rng(0).random((CELLS, CELLS), np.float32))
    one.heatmap[:, :20] = np.nan
    xaiaug.faithfulness(Watching(), [picture()], [one], steps=4, random_maps=2)
    assert len(asked) == 3 + 2 * 3 * 3
    for image in asked:
        assert np.array_equal(np.asarray(image)[:, :20], np.asarray(picture())[:, :20])
    changed = [not np.array_equal(np.asarray(image)[:, 20:], np.asarray(picture())[:, 20:]) for image in asked]
    assert sum(changed) == len(asked) - 1


def test_failures_and_images_without_a_mask_are_left_out():
    maps = [explained(one_hot()), Failure("too-small", "no"), explained(one_hot())]
    found = measured(maps, masks=[on_patch(), None, None], steps=4)
    assert found.images == 2
    assert len(found.measures["pointing"].gains) == 1
    assert found.measures["pointing"].values[0] == 1
    assert set(found.measures) == {"deletion", "insertion", "pointing", "energy"}
    assert set(measured(maps, steps=4).measures) == {"deletion", "insertion"}


def test_it_prints_as_a_table_and_gives_no_verdict_on_few_images():
    few = str(measured([explained(one_hot())] * 2, masks=[on_patch()] * 2, steps=4))
    assert few.splitlines()[0] == "told, 2 images"
    assert "2 images are too few to say whether told is better than random maps." in few
    many = str(measured([explained(one_hot())] * 12, steps=4))
    assert "better than random maps do (gain +" in many


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"explanations": []}, "one explanation per image, got 1 images and 0"),
        ({"masks": []}, "a mask or None for each image, got 1 and 0"),
        ({"masks": [np.ones((3, 3))]}, r"size of its image, \(64, 64\) \(h w\), got \(3, 3\)"),
        ({"masks": [np.full((SIDE, SIDE), 2)]}, "such as `mask == 1`"),
        ({"steps": 1}, "steps must be at least 2, got 1"),
        ({"random_maps": 0}, "random_maps must be at least 1"),
        ({"tolerance": -1}, "tolerance must be at least 0"),
        ({"explanations": [Failure("k", "m")]}, "no explanation to measure"),
        ({"explanations": [np.ones((SIDE, SIDE))]}, "must be an Explanation or a Failure, got ndarray"),
        ({"explanations": [explained(one_hot(), target=2)]}, r"target must be a class in 0..1, got 2"),
        ({"images": [Image.new("RGB", (9, 8))]}, r"heatmap must have the size of its image, \(8, 9\)"),
    ],
)
def test_what_cannot_be_measured_is_refused(changed, message):
    arguments = {"images": [picture()], "explanations": [explained(one_hot())], **changed}
    with pytest.raises(DataError, match=message):
        xaiaug.faithfulness(OnePatch(), **arguments)


@pytest.mark.parametrize("broken", [np.zeros(3), np.full((1, 2), np.nan)])
def test_a_classifier_that_returns_no_probabilities_is_named(broken):
    class Broken(OnePatch):
        def predict_proba(self, images):
            return broken

    with pytest.raises(PluginError, match="Broken.predict_proba must return n k finite probabilities"):
        xaiaug.faithfulness(Broken(), [picture()], [explained(one_hot())])


def test_palette_and_grey_images_are_read_as_rgb():
    found = xaiaug.faithfulness(OnePatch(), [picture().convert("L")], [explained(one_hot())], steps=STEPS)
    assert found.measures["deletion"].values == pytest.approx(0.5 / STEPS)


def test_the_explanation_and_the_image_stay_as_they_are():
    image, one = picture(), replace(explained(one_hot()), method="x")
    before, raw = image.tobytes(), one.heatmap.copy()
    xaiaug.faithfulness(OnePatch(), [image], [one], steps=4)
    assert image.tobytes() == before and np.array_equal(one.heatmap, raw)


@pytest.mark.parametrize(("steps", "random_maps", "count"), [(2, 1, 7), (10, 1, 39), (16, 4, 153)])
def test_the_number_of_predictions_is_known_beforehand(steps, random_maps, count):
    class Counting(OnePatch):
        asked = 0

        def predict_proba(self, images):
            Counting.asked += len(images)
            return super().predict_proba(images)

    xaiaug.faithfulness(Counting(), [picture()], [explained(one_hot())], steps=steps, random_maps=random_maps)
    assert Counting.asked == count_predictions(steps, random_maps) == count
