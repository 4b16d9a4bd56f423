"""An interrupted training resumes from its newest complete checkpoint and ends as if uninterrupted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from xaiaug.interfaces import Checkpoints, Context
from xaiaug.plugins.classifiers._resume import find_newest
from xaiaug.plugins.classifiers.transformers import TransformersClassifier
from xaiaug.records import Recipe, Sample

RECIPE = Recipe(steps=20, batch_size=4, learning_rate=3e-3)


class CutOffError(Exception):
    """As if the process had ended."""


class Cutting(list[Sample]):
    """Images of which so many can be opened."""

    def __init__(self, samples: list[Sample], left: int) -> None:
        super().__init__(samples)
        self.left = left

    def __getitem__(self, index):
        self.left -= 1
        if self.left < 0:
            raise CutOffError
        return super().__getitem__(index)


@pytest.fixture
def fit(tiny_vit: Path, painted: Callable):
    def fit(checkpoints: Checkpoints | None = None, left: int = 10_000):
        classifier = TransformersClassifier(str(tiny_vit))
        classifier.prepare(Context(labels=("cat", "dog"), device="cpu"))
        train = Cutting(painted(200), left)
        history = classifier.fit(train, painted(6, seed=9), recipe=RECIPE, seed=5, checkpoints=checkpoints)
        return history, {name: value.clone() for name, value in classifier.module.state_dict().items()}

    return fit


def equal(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def steps(folder: Path) -> list[int]:
    return sorted(int(path.name.rpartition("-")[2]) for path in folder.glob("checkpoint-*"))


def test_checkpoints_change_neither_weights_nor_curves(fit, tmp_path) -> None:
    history, weights = fit()
    kept_history, kept = fit(Checkpoints(tmp_path / "kept", 6))
    assert kept_history == history
    assert equal(kept, weights)
    assert steps(tmp_path / "kept")[-1] >= 18


def test_a_training_interrupted_anywhere_ends_as_one_that_was_not(fit, tmp_path) -> None:
    history, weights = fit()
    checkpoints = Checkpoints(tmp_path / "kept", 3)
    for left in (70, 60):  # two looks an image
        with pytest.raises(CutOffError):
            fit(checkpoints, left)
    assert steps(checkpoints.folder)
    resumed_history, resumed = fit(checkpoints)
    assert resumed_history == history
    assert equal(resumed, weights)


def test_an_incomplete_checkpoint_is_skipped(fit, tmp_path) -> None:
    _, weights = fit()
    checkpoints = Checkpoints(tmp_path / "kept", 3)
    with pytest.raises(CutOffError):
        fit(checkpoints, 100)
    last = max(steps(checkpoints.folder))
    (checkpoints.folder / f"checkpoint-{last}" / "curves.json").unlink()
    (checkpoints.folder / f"checkpoint-{last}" / "weights.safetensors").write_bytes(b"torn")
    found = find_newest(checkpoints.folder)
    assert found is not None and found.name != f"checkpoint-{last}"
    _, resumed = fit(checkpoints)
    assert equal(resumed, weights)


def test_without_checkpoints_there_is_nothing_to_resume_from(tmp_path) -> None:
    assert find_newest(tmp_path) is None
