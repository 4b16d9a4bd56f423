"""Adapters train the attention projections and the head, and leave a plain checkpoint that reloads exactly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from xaiaug.errors import UnsupportedRecipeError
from xaiaug.interfaces import Context
from xaiaug.plugins.classifiers._lora import find_lora_targets, train_lora
from xaiaug.plugins.classifiers.transformers import TransformersClassifier
from xaiaug.records import Recipe

RECIPE = Recipe(steps=8, batch_size=8, learning_rate=1e-2, adapter="lora")


@pytest.fixture(scope="module")
def tiny_mobilenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mobilenet")
    config = transformers.MobileNetV2Config(depth_multiplier=0.1, image_size=32, num_labels=2)
    transformers.MobileNetV2ForImageClassification(config).save_pretrained(folder)
    transformers.MobileNetV2ImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder)
    return folder


def ready(checkpoint: Path) -> TransformersClassifier:
    classifier = TransformersClassifier(str(checkpoint), new_head=True)
    classifier.prepare(Context(labels=("cat", "dog"), device="cpu"))
    return classifier


def weights(classifier: TransformersClassifier) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in classifier.module.named_parameters()}


def test_adapters_start_from_the_seed_alone(tiny_vit: Path, painted: Callable) -> None:
    found = []
    for noise in (1, 2):
        classifier = ready(tiny_vit)
        torch.manual_seed(noise)  # what ran before in the process must not matter
        classifier.fit(painted(16), [], recipe=RECIPE, seed=3)
        found.append(classifier.predict_proba([sample.open() for sample in painted(4, seed=1)]))
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("which", ["tiny_vit", "tiny_mobilenet"])
def test_adapted_layers_and_head_move_and_nothing_else(
    which: str, request: pytest.FixtureRequest, painted: Callable
) -> None:
    classifier = ready(request.getfixturevalue(which))
    classifier.fit(painted(8), [], recipe=Recipe(steps=1, batch_size=4, learning_rate=1e-9), seed=0)
    before = weights(classifier)
    targets = find_lora_targets(classifier.module)
    classifier.fit(painted(40), painted(8, seed=1), recipe=RECIPE, seed=0)
    after = weights(classifier)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert before.keys() == after.keys(), "adapters are part of the weights, and gone"
    assert "classifier.weight" in moved
    assert {name.rpartition(".")[0] for name in moved} <= {*targets, "classifier"}
    assert {f"{name}.weight" for name in targets} & moved
    assert all(parameter.requires_grad for parameter in classifier.module.parameters())


def test_a_saved_classifier_predicts_the_same(tiny_vit: Path, painted: Callable, tmp_path: Path) -> None:
    classifier = ready(tiny_vit)
    history = classifier.fit(painted(40), painted(8, seed=1), recipe=RECIPE, seed=0)
    images = [sample.open() for sample in painted(12, seed=2)]
    expected = classifier.predict_proba(images)
    tmp_path.joinpath("kept").mkdir()
    classifier.save(tmp_path / "kept")
    assert np.array_equal(TransformersClassifier.load(tmp_path / "kept").predict_proba(images), expected)
    assert history.train_loss[-1] < history.train_loss[0]


def test_attention_is_adapted_where_there_is_any_and_pointwise_convolutions_elsewhere(
    tiny_vit: Path, tiny_mobilenet: Path
) -> None:
    assert all("attention" in name for name in find_lora_targets(ready(tiny_vit).module))
    module = ready(tiny_mobilenet).module
    names = find_lora_targets(module)
    assert names and all(module.get_submodule(name).kernel_size == (1, 1) for name in names)


def test_a_network_with_nothing_to_adapt_is_refused() -> None:
    with pytest.raises(UnsupportedRecipeError, match="neither attention"), train_lora(torch.nn.Linear(2, 2)):
        pass
