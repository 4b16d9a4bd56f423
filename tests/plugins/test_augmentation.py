"""Automatic augmentations and CutMix follow from seed and position alone, and mix labels as they mix pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from xaiaug.errors import UnsupportedRecipeError
from xaiaug.interfaces import Context
from xaiaug.plugins.classifiers._augmentation import apply_policies, mix_views
from xaiaug.plugins.classifiers.transformers import TransformersClassifier
from xaiaug.records import Recipe

VIEWS = [np.random.default_rng(i).integers(0, 256, (24, 20, 3), dtype=np.uint8) for i in range(6)]


@pytest.mark.parametrize("name", ["trivialaugment", "randaugment"])
def test_a_view_depends_on_seed_and_position_and_not_on_its_batch(name: str) -> None:
    state = torch.random.get_rng_state()
    whole = apply_policies(VIEWS, [name], 3, range(6))
    halves = [*apply_policies(VIEWS[:2], [name], 3, [0, 1]), *apply_policies(VIEWS[2:], [name], 3, [2, 3, 4, 5])]
    assert all(np.array_equal(one, other) for one, other in zip(whole, halves, strict=True))
    assert all(view.shape == (24, 20, 3) and view.dtype == np.uint8 for view in whole)
    assert any(not np.array_equal(one, other) for one, other in zip(whole, VIEWS, strict=True))
    others = apply_policies(VIEWS, [name], 4, range(6))
    assert any(not np.array_equal(one, other) for one, other in zip(whole, others, strict=True))
    assert torch.equal(state, torch.random.get_rng_state())


def test_without_a_policy_views_and_batches_are_left_alone() -> None:
    assert apply_policies(VIEWS, ["default"], 0, range(6)) is VIEWS
    batch = {"pixels": torch.zeros(2, 3, 4, 4)}
    assert mix_views(batch, ["default"], 0, 0) is batch


def test_the_share_of_the_other_class_is_that_of_its_pixels() -> None:
    pixels = torch.arange(8.0).reshape(8, 1, 1, 1).expand(8, 3, 32, 32).clone()
    batch = {"pixels": pixels, "targets": torch.arange(8), "weights": torch.ones(8)}
    found = mix_views(batch, ["default", "cutmix"], 1, 40)
    assert torch.equal(found["targets"], torch.arange(8))
    for image, own, other, share in zip(
        found["pixels"], found["targets"], found["others"], found["share"], strict=True
    ):
        if own != other:
            assert float((image == float(other)).float().mean()) == pytest.approx(float(share), abs=1e-4)
            assert set(image.unique().tolist()) <= {float(own), float(other)}
    assert float(found["share"].max()) > 0
    again = mix_views(batch, ["cutmix"], 1, 40)
    assert torch.equal(again["pixels"], found["pixels"])


@pytest.mark.parametrize("augment", ["randaugment", "trivialaugment+cutmix"])
def test_a_training_with_it_learns_and_is_repeatable(augment: str, tiny_vit: Path, painted: Callable) -> None:
    found = []
    for _ in range(2):
        classifier = TransformersClassifier(str(tiny_vit))
        classifier.prepare(Context(labels=("cat", "dog"), device="cpu"))
        recipe = Recipe(steps=30, batch_size=8, learning_rate=3e-3, augment=augment)
        found.append(classifier.fit(painted(40), painted(20, seed=1), recipe=recipe, seed=0))
    assert found[0] == found[1]
    assert found[0].validation_accuracy[-1] > 0.8


def test_an_unknown_augmentation_is_refused_with_those_there_are(tiny_vit: Path, painted: Callable) -> None:
    classifier = TransformersClassifier(str(tiny_vit))
    classifier.prepare(Context(labels=("cat", "dog"), device="cpu"))
    with pytest.raises(UnsupportedRecipeError, match=r"'trivialaugment'.*not by 'autoaugment\+cutmix'"):
        classifier.fit(painted(4), [], recipe=Recipe(augment="autoaugment+cutmix"), seed=0)
