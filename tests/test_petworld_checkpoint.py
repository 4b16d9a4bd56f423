"""The checkpoint in the package loads offline, is small, and has never seen a cat or a dog."""

import json

import numpy as np
import pytest

from xaiaug.petworld import LABELS, checkpoint, draw
from xaiaug.petworld.anatomy import OTHERS
from xaiaug.petworld.sampling import sample_other_scenes


def test_it_is_small_and_holds_no_pickle() -> None:
    files = {path.name: path.stat().st_size for path in checkpoint().iterdir()}
    assert set(files) == {"config.json", "preprocessor_config.json", "model.safetensors"}
    assert sum(files.values()) <= 3_000_000


def test_it_was_pre_trained_on_other_animals() -> None:
    names = json.loads((checkpoint() / "config.json").read_text(encoding="utf-8"))["id2label"].values()
    assert set(names) == set(OTHERS) and not set(LABELS) & set(names)


def test_it_takes_a_new_head(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModelForImageClassification

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    model = AutoModelForImageClassification.from_pretrained(checkpoint(), num_labels=2, ignore_mismatched_sizes=True)
    assert model.config.num_labels == 2 and model.classifier.out_features == 2


def test_it_names_the_other_animals() -> None:
    import torch
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    model = AutoModelForImageClassification.from_pretrained(checkpoint()).float().eval()
    processor = AutoImageProcessor.from_pretrained(checkpoint())
    wanted = sample_other_scenes(180, seed=991)
    with torch.no_grad():
        logits = model(**processor([draw(scene) for scene in wanted], return_tensors="pt")).logits
    named = [model.config.id2label[int(i)] for i in logits.argmax(1)]
    assert np.mean([name == scene.animal for name, scene in zip(named, wanted, strict=True)]) > 0.95
