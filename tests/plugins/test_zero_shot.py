"""CLIP and SigLIP compare images with the names of the classes; tiny ones are made here."""

import numpy as np
import pytest
from PIL import Image
from tiny_clip import make

from xaiaug import Context, Recipe
from xaiaug.errors import ConfigError, DataError, NotFittedError, UnsupportedRecipeError
from xaiaug.plugins.classifiers.zero_shot import ZeroShotClassifier


@pytest.fixture(scope="module", params=["clip", "siglip"])
def checkpoint(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, folder, *make(request.param, folder)


def images(count=5):
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 255, (40, 36 + i, 3), np.uint8)) for i in range(count)]


def ready(folder, labels=("cat", "dog"), **parameters):
    made = ZeroShotClassifier(str(folder), **parameters)
    made.prepare(Context(labels=labels, device="cpu"))
    return made


def test_it_is_the_softmax_over_the_model_s_own_logits(checkpoint):
    import torch

    family, folder, model, processor = checkpoint
    found = ready(folder, batch_size=2).predict_proba(images())
    padding = "max_length" if family == "siglip" else True
    told = processor(
        text=["a photo of a cat", "a photo of a dog"], images=images(), padding=padding, return_tensors="pt"
    )
    with torch.inference_mode():
        logits = model(**told).logits_per_image
    assert found.dtype == np.float32 and found.shape == (5, 2)
    assert np.allclose(found, logits.softmax(-1).numpy(), atol=1e-5)


def test_classes_follow_the_labels_and_the_template(checkpoint):
    folder = checkpoint[1]
    plain, turned = ready(folder), ready(folder, ("dog", "cat"))
    assert np.allclose(plain.predict_proba(images())[:, ::-1], turned.predict_proba(images()), atol=1e-6)
    other = ready(folder, template="{label} bird")
    assert not np.allclose(plain.predict_proba(images()), other.predict_proba(images()), atol=1e-4)


def test_embeddings_have_length_one_and_do_not_depend_on_the_batch(checkpoint):
    folder = checkpoint[1]
    found = ready(folder, batch_size=5).embed(images())
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert np.allclose(found, ready(folder, batch_size=2).embed(images()), atol=1e-5)
    assert ready(folder).predict_proba([]).shape == (0, 2)


def test_it_is_the_same_from_its_folder_and_as_a_fork(checkpoint, tmp_path):
    made = ready(checkpoint[1])
    made.save(tmp_path)
    for other in (ZeroShotClassifier.load(tmp_path), made.fork()):
        assert other.labels == ("cat", "dog")
        assert np.allclose(other.predict_proba(images()), made.predict_proba(images()), atol=1e-6)


def test_other_weights_are_another_identity(checkpoint, tmp_path):
    folder = checkpoint[1]
    assert (
        ZeroShotClassifier(str(folder)).identity()["weights"] != ZeroShotClassifier(str(tmp_path)).identity()["weights"]
    )


def test_what_it_cannot_do_is_refused(checkpoint, tmp_path, tiny_vit):
    folder = checkpoint[1]
    with pytest.raises(UnsupportedRecipeError, match="fit_baseline = false"):
        ready(folder).fit([], [], recipe=Recipe(), seed=0)
    with pytest.raises(NotFittedError, match="has no classes"):
        ready(folder, ()).predict_proba(images())
    with pytest.raises(ConfigError, match="must hold {label}"):
        ready(folder, template="a photo")
    with pytest.raises(ConfigError, match="ZeroShotClassifier: the checkpoint .* cannot be loaded"):
        ready(tmp_path)
    with pytest.raises(ConfigError, match="compare images with texts|cannot load"):
        ready(tiny_vit)
    with pytest.raises(DataError, match=r"holds no xaiaug\.json"):
        ZeroShotClassifier.load(tmp_path)
