"""Each snapshot loads, the last is the trained classifier, and saving them changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from xaiaug.interfaces import Context
from xaiaug.plugins.classifiers.transformers import TransformersClassifier
from xaiaug.records import Recipe


def trained(checkpoint: Path, painted: Callable, adapter: str | None, snapshots: Path | None) -> TransformersClassifier:
    classifier = TransformersClassifier(str(checkpoint), new_head=True)
    classifier.prepare(Context(labels=("cat", "dog"), device="cpu"))
    recipe = Recipe(steps=5, batch_size=4, learning_rate=1e-2, adapter=adapter)
    classifier.fit(painted(16), painted(4, seed=1), recipe=recipe, seed=0, snapshots=snapshots)
    return classifier


@pytest.mark.parametrize("adapter", [None, "lora"])
def test_each_point_of_the_curves_loads_and_the_last_is_the_trained_classifier(
    adapter: str | None, tiny_vit: Path, painted: Callable, tmp_path: Path
) -> None:
    kept = trained(tiny_vit, painted, adapter, tmp_path / "on-the-way")
    plain = trained(tiny_vit, painted, adapter, None)
    images = [sample.open() for sample in painted(6, seed=2)]
    folders = sorted((tmp_path / "on-the-way").iterdir(), key=lambda folder: int(folder.name))
    assert [folder.name for folder in folders] == ["1", "2", "3", "4", "5"]
    told = [TransformersClassifier.load(folder).predict_proba(images) for folder in folders]
    np.testing.assert_allclose(told[-1], kept.predict_proba(images), atol=1e-5)
    np.testing.assert_array_equal(kept.predict_proba(images), plain.predict_proba(images))
    assert not np.allclose(told[0], told[-1], atol=1e-4)
    assert TransformersClassifier.load(folders[0]).labels == ("cat", "dog")
