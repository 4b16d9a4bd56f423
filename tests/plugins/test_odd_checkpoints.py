"""Checkpoints that are odd but whole predict as transformers does; what cannot be read rightly is refused in words."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from odd_checkpoints import build, edit_config, edit_processor, edit_weights, noise, ready, split
from PIL import Image

from xaiaug.errors import NotFittedError, PluginError, XaiaugError
from xaiaug.plugins.classifiers._preprocessor import Preprocessor


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as it should be."""
    return build(tmp_path_factory.mktemp("whole") / "checkpoint", ["cat", "dog"])


@pytest.fixture(scope="module")
def expected(whole: Path) -> np.ndarray:
    """Its probabilities for an image, by transformers itself: 2."""
    model = transformers.ViTForImageClassification.from_pretrained(whole).eval()
    processor = transformers.ViTImageProcessorPil.from_pretrained(whole)
    with torch.no_grad():
        return model(**processor(images=[noise()], return_tensors="pt")).logits.softmax(-1)[0].numpy()


def cast(dtype: torch.dtype) -> Callable[[Path], None]:
    return lambda folder: edit_weights(folder, lambda held: {name: value.to(dtype) for name, value in held.items()})


def drop_settings(*names: str) -> Callable[[Path], object]:
    def drop(folder: Path) -> None:
        path = folder / "config.json"
        kept = {name: value for name, value in json.loads(path.read_text()).items() if name not in names}
        path.write_text(json.dumps(kept))

    return drop


def write_old_processor(folder: Path) -> None:
    settings = {"feature_extractor_type": "ViTFeatureExtractor", "size": 32, "image_mean": [0.5] * 3}
    settings |= {"do_resize": True, "do_normalize": True, "image_std": [0.5] * 3, "resample": 2}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))


def nest_processor(folder: Path) -> None:
    path = folder / "preprocessor_config.json"
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": json.loads(path.read_text())}))
    path.unlink()


# What is odd, and the labels that it then has.
ODD: dict[str, tuple[Callable[[Path], object], tuple[str, str]]] = {
    "weights in parts": (split, ("cat", "dog")),
    "half precision": (cast(torch.bfloat16), ("cat", "dog")),
    "double precision": (cast(torch.float64), ("cat", "dog")),
    "averages and a state of training among the weights": (
        lambda folder: edit_weights(
            folder, lambda held: {**held, "ema.decay": torch.zeros(1), "optimizer.step": torch.zeros(3)}
        ),
        ("cat", "dog"),
    ),
    "other weights beside": (lambda folder: (folder / "pytorch_model.bin").write_bytes(b"PK"), ("cat", "dog")),
    "a traced network beside": (lambda folder: (folder / "model.pt").write_bytes(b"PK"), ("cat", "dog")),
    "no architectures": (drop_settings("architectures"), ("cat", "dog")),
    "no names of labels": (drop_settings("id2label", "label2id"), ("LABEL_0", "LABEL_1")),
    "a label without a name": (
        lambda folder: edit_config(folder, id2label={"0": None, "1": " "}),
        ("LABEL_0", "LABEL_1"),
    ),
    "numbers for labels": (lambda folder: edit_config(folder, id2label={"0": 7, "1": 8}), ("7", "8")),
    "label2id without names": (lambda folder: edit_config(folder, label2id={"LABEL_0": 0}), ("cat", "dog")),
    "code of its own": (
        lambda folder: edit_config(folder, auto_map={"AutoModelForImageClassification": "network.Network"}),
        ("cat", "dog"),
    ),
    "a processor of an older release": (write_old_processor, ("cat", "dog")),
    "a processor within another": (nest_processor, ("cat", "dog")),
    "a processor that is gone": (
        lambda folder: edit_processor(folder, image_processor_type="ViTImageProcessorFast"),
        ("cat", "dog"),
    ),
}


@pytest.mark.parametrize("what", ODD)
def test_an_odd_checkpoint_predicts_as_transformers_does(
    what: str, whole: Path, expected: np.ndarray, tmp_path: Path
) -> None:
    folder, (bend, labels) = Path(shutil.copytree(whole, tmp_path / "odd")), ODD[what]
    bend(folder)
    classifier = ready(folder)
    assert (classifier.labels, classifier.notes) == (labels, ())
    tolerance = 5e-3 if what == "half precision" else 1e-5
    np.testing.assert_allclose(classifier.predict_proba([noise()])[0], expected, atol=tolerance)


def round_weights(folder: Path) -> None:
    edit_weights(
        folder,
        lambda held: {
            name: (value / value.abs().max() * 127).to(torch.int8) if value.ndim == 2 else value
            for name, value in held.items()
        },
    )


def shrink_weights(folder: Path) -> None:
    edit_weights(
        folder,
        lambda held: {
            name: value.to(torch.float8_e4m3fn) if value.ndim == 2 else value for name, value in held.items()
        },
    )


def wrap(prefix: str) -> Callable[[Path], None]:
    return lambda folder: edit_weights(folder, lambda held: {prefix + name: value for name, value in held.items()})


def move_down(name: str, *files: str) -> Callable[[Path], None]:
    def move(folder: Path) -> None:
        (folder / name).mkdir()
        for file in files or [path.name for path in folder.iterdir() if path.is_file()]:
            (folder / file).rename(folder / name / file)

    return move


def add_adapters(folder: Path) -> None:
    peft = pytest.importorskip("peft")
    network = transformers.ViTForImageClassification.from_pretrained(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of transformers about peft
        peft.get_peft_model(network, peft.LoraConfig(r=2, target_modules=["q_proj"])).save_pretrained(folder)


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a part that is missing": (lambda folder: split(folder)[1].unlink(), r"4 parts, and model-00002-of-00004.*missing"),
    "a part that is cut": (lambda folder: split(folder)[1].write_bytes(b"0" * 100), "model-00002-of-00004.*cut off"),
    "whole numbers for weights": (round_weights, "classifier.weight.* as I8: quantised weights"),
    "8-bit floats for weights": (shrink_weights, "as F8_E4M3: quantised weights"),
    "a network inside DataParallel": (wrap("module."), "begin with 'module.'.*save_pretrained on the one inside"),
    "a compiled network": (wrap("_orig_mod."), "begin with '_orig_mod.'"),
    "a folder of checkpoints": (move_down("checkpoint-500"), "its folders checkpoint-500 do; give one of them"),
    "weights in a folder below": (move_down("best", "model.safetensors"), "best/model.safetensors; .*move it beside"),
    "weights of another name": (
        lambda folder: (folder / "model.safetensors").rename(folder / "vit.safetensors"),
        "no model.safetensors, but vit.safetensors; .*rename it",
    ),
    "adapters beside the weights": (add_adapters, "adapters beside the weights of a whole network"),
    "positions of another size": (
        lambda folder: edit_config(folder, image_size=64),
        "position_embeddings .*instead of",
    ),
    "a list of labels": (
        lambda folder: edit_config(folder, id2label=["cat", "dog"]),
        "id2label.* is a list, not a table",
    ),
    "an empty table of labels": (lambda folder: edit_config(folder, id2label={}), "names no labels"),
    "a head that lies on its side": (
        lambda folder: edit_weights(
            folder, lambda held: {**held, "classifier.weight": held["classifier.weight"].T.contiguous()}
        ),
        r"head .*incomplete.*\(16, 2\) instead of \(2, 16\)",
    ),
    "a mean of one channel": (lambda folder: edit_processor(folder, image_mean=[0.5]), "mean must have 3 elements"),
    "an unknown processor": (
        lambda folder: edit_processor(folder, image_processor_type="Mine"),
        "Unrecognized image processor",
    ),
    "an unknown kind of network": (lambda folder: edit_config(folder, model_type="mine"), "model type `mine`"),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_cannot_be_read_rightly_is_refused_by_its_name_and_in_few_words(
    what: str, whole: Path, tmp_path: Path
) -> None:
    folder, (breaks, words) = Path(shutil.copytree(whole, tmp_path / "odd")), UNREADABLE[what]
    breaks(folder)
    with pytest.raises(XaiaugError, match=words) as caught:
        ready(folder)
    assert str(folder) in str(caught.value)
    assert len(str(caught.value)) < 1200


def test_a_number_of_labels_that_is_not_that_of_the_head_is_noticed(whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "odd"))
    edit_config(folder, num_labels=5)
    with pytest.raises(NotFittedError, match=r"shape \(2,\) in the file and \(5,\) by config.json"):
        ready(folder).predict_proba([noise()])


@pytest.mark.parametrize("name", ["classifier.bias", "layernorm_after.weight"])
def test_weights_that_overflowed_are_noticed(name: str, whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "odd"))
    edit_weights(folder, lambda held: {key: value / 0 if name in key else value for key, value in held.items()})
    with pytest.raises(PluginError, match="not finite; look for damaged weights"):
        ready(folder).predict_proba([noise()])


@pytest.mark.parametrize(
    ("settings", "size"),
    [({"size": {"height": 48, "width": 48}}, "48 × 48"), ({"do_resize": False}, "48 × 64"), ({}, "224 × 224")],
)
def test_a_processor_of_another_size_than_the_network_stands_in_the_notes(
    settings: dict[str, object], size: str, whole: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "odd"))
    edit_processor(folder, **settings)
    if not settings:
        (folder / "preprocessor_config.json").write_text("{}")
    classifier = ready(folder, ("dog", "cat"))
    (note,) = classifier.notes
    assert f"makes images of {size} pixels for a network of 32" in note
    assert np.isfinite(classifier.predict_proba([noise()])).all()


class PilProcessor:
    """Takes PIL images alone, and no option but the kind of tensors, as that of timm's checkpoints does."""

    def __call__(self, images: list[Image.Image], **options: str) -> dict[str, torch.Tensor]:
        return self.preprocess(images, **options)

    def preprocess(self, images: list[Image.Image], return_tensors: str) -> dict[str, torch.Tensor]:
        values = [np.asarray(image.resize((8, 8))).transpose(2, 0, 1) / np.float32(255) for image in images]
        return {"pixel_values": torch.from_numpy(np.stack(values))}


def test_two_tables_of_labels_that_disagree_stand_in_the_notes(whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "odd"))
    edit_config(folder, label2id={"cat": 1, "dog": 0})
    classifier = ready(folder)
    assert classifier.labels == ("cat", "dog")
    assert "disagree about cat, dog; id2label counts" in " ".join(classifier.notes)


def test_a_processor_without_options_reads_images() -> None:
    preprocessor, image = Preprocessor(PilProcessor()), noise()
    assert not preprocessor.exact
    pixels = preprocessor.normalize([preprocessor.make_frame(image)])
    torch.testing.assert_close(pixels, PilProcessor().preprocess([image], "pt")["pixel_values"])
    assert preprocessor.find_box(image) == (0, 0, 40, 36)


def test_blanks_around_labels_keep_the_trained_head(whole: Path, expected: np.ndarray, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "odd"))
    edit_config(folder, id2label={"0": " cat", "1": "dog\n"})
    classifier = ready(folder, ("dog", "cat"))
    assert classifier.labels == ("dog", "cat")
    np.testing.assert_allclose(classifier.predict_proba([noise()])[0], expected[::-1], atol=1e-5)
