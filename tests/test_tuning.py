"""Every arm is tried with equally many settings, and validation chooses among them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from fakes import ColourCritic, NearestColour, Painter, Ramp, paint_folder
from hypothesis import given
from hypothesis import strategies as st

from xaiaug import FeedbackLoop, Recipe, Splits
from xaiaug.arms import list_factors, scale_recipe
from xaiaug.errors import ConfigError
from xaiaug.plugins.classifiers._last_layer import EmbeddedImages, Head, finetune, refit
from xaiaug.results.maintenance import verify

COUNTS = {"train": 24, "guide": 24, "validation": 20, "test": 12}
RATE = 1e-3


class Choosy(NearestColour):
    """Right only after a training with three times the usual learning rate, or with the usual penalty of its head."""

    training_methods = frozenset({"last-layer"})

    def fit(self, train, validation, *, recipe, seed):
        history = super().fit(train, validation, recipe=recipe, seed=seed)
        wanted = recipe.how.head_only or math.isclose(recipe.learning_rate, math.sqrt(10) * RATE)
        if not wanted or recipe.head_factor < 1:
            self.means = self.means[::-1].copy()
        return history


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    return Splits.from_folder(paint_folder(tmp_path_factory.mktemp("painted"), COUNTS))


def create(**experiment):
    return FeedbackLoop(
        Choosy(),
        Ramp(),
        ColourCritic(),
        Painter(),
        arms=("baseline", "continued", "class-balanced-head"),
        seeds=(0, 1),
        recipe=Recipe(steps=4, batch_size=8, learning_rate=RATE),
        settings={"mistakes": {"faithfulness": 0}, "experiment": experiment},
    )


def test_each_arm_trains_by_the_setting_that_validation_chose(splits, tmp_path):
    result = create(settings_tried=3).run(splits, tmp_path / "run")
    scores = {arm.name: [seed.metrics.accuracy for seed in arm.seeds] for arm in result.report.arms}
    assert min(scores["continued"]) > 0.5 > max(scores["baseline"])
    assert min(scores["class-balanced-head"]) > 0.5
    used = {arm.name: arm.used for arm in result.report.arms}
    assert used["continued"].settings_tried == used["class-balanced-head"].settings_tried == 3
    assert used["continued"].group_labels_in_selection == 0
    assert verify(result.run_dir) == []
    untuned = create().run(splits, tmp_path / "untuned")
    scores = {arm.name: [seed.metrics.accuracy for seed in arm.seeds] for arm in untuned.report.arms}
    assert max(scores["continued"]) < 0.5


def test_the_plan_counts_what_is_tried(splits, tmp_path):
    plain, tuned = (create(settings_tried=tried).plan(splits, tmp_path / "planned") for tried in (1, 3))
    lines = [{line.name: line for line in plan.lines} for plan in (plain, tuned)]
    assert [one["continued"].trainings for one in lines] == [(2, 2), (4, 4)]
    assert [one["baseline"].trainings for one in lines] == [(1, 1), (1, 1)]


def test_too_few_validation_images_to_choose_by_are_refused_before_any_work(splits, tmp_path):
    few = replace(splits, validation=splits.validation[::5])
    with pytest.raises(ConfigError, match="needs 20 validation images to choose by, there are 8"):
        create(settings_tried=2).run(few, tmp_path / "few")
    assert not list((tmp_path / "few").glob("models/*"))


def test_groups_choose_only_where_validation_has_them(splits, tmp_path):
    test = tuple(replace(one, groups={"place": "in"}) for one in splits.test)
    with pytest.raises(ConfigError, match=r"needs a group of 3 validation images"):
        create(settings_tried=2, metric="worst-group", smallest_group=3).run(
            replace(splits, test=test), tmp_path / "run"
        )


@given(st.integers(1, 9))
def test_settings_are_distinct_and_spread_around_the_published_one(count):
    factors = list_factors(count)
    assert factors[0] == 1 and len(set(factors)) == count
    assert abs(sum(map(math.log10, factors))) <= 0.5 * (count // 2)
    recipe = Recipe(learning_rate=RATE)
    assert [scale_recipe(recipe, factor).learning_rate for factor in factors] == [factor * RATE for factor in factors]
    heads = [scale_recipe(replace(recipe, method="last-layer"), factor) for factor in factors]
    assert {one.learning_rate for one in heads} == {RATE} and [one.head_factor for one in heads] == list(factors)


def test_the_factor_of_a_head_acts():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    features = rng.normal(labels[:, None], 1.0, (60, 4))
    images = EmbeddedImages(features, labels, np.ones(60), labels)
    head = Head(np.zeros((2, 4)), np.zeros(2))
    for fit in (refit, finetune):
        sizes = [np.abs(fit(head, images, 0, factor).weights).sum() for factor in (0.1, 1.0)]
        assert sizes[0] < sizes[1], f"{fit.__name__}: a smaller factor keeps the weights smaller"
