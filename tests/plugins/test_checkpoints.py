"""Checkpoints as users have them: each is right, or refused in words that say what is wrong and what to do."""

from __future__ import annotations

import json
import os
import shutil
import unicodedata
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from odd_checkpoints import build, cut, edit_config, edit_weights, noise, point, ready, without
from PIL import Image

from xaiaug.errors import ConfigError, DataError, NotFittedError, PluginError, XaiaugError
from xaiaug.interfaces import Context
from xaiaug.plugins.classifiers._head import find_head_axes, replace_head
from xaiaug.plugins.classifiers._label_match import match_labels
from xaiaug.plugins.classifiers.transformers import TransformersClassifier
from xaiaug.records import Recipe


@pytest.fixture
def vit(tiny_vit: Path, tmp_path: Path) -> Path:
    """A copy of the tiny ViT that may be broken."""
    return Path(shutil.copytree(tiny_vit, tmp_path / "vit"))


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pointer instead of weights": (point("model.safetensors"), "Git LFS pointer.*git lfs pull"),
    "a pointer instead of settings": (point("config.json"), "config.json.*Git LFS pointer"),
    "cut weights": (cut, "cut off or damaged"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "Give a folder with"),
    "settings that are no JSON": (lambda folder: (folder / "config.json").write_text("{"), "Give a folder with"),
    "no processor": (lambda folder: (folder / "preprocessor_config.json").unlink(), "preprocessor_config.json"),
    "a gap in the labels": (lambda f: edit_config(f, id2label={"0": "cat", "2": "dog"}), r"0, 2 in id2label.*0 to 1"),
    "labels from 1": (lambda f: edit_config(f, id2label={"1": "cat", "2": "dog"}), r"1, 2 in id2label.*0 to 1"),
    "a layer that is missing": (without("layers.1.", "layer.1."), r"does not hold \d+ weights: vit\.layers\.1\."),
    "one bias that is missing": (without("layernorm_after.bias"), r"layernorm_after\.bias"),
    "half a head": (without("classifier.bias"), r"head.*incomplete.*classifier\.bias"),
    "fewer layers in the settings": (lambda f: edit_config(f, num_hidden_layers=1), r"no place.*numbers of layers"),
    "wider layers in the settings": (lambda f: edit_config(f, intermediate_size=64), r"shape \(32.*instead of \(64"),
    "quantisation": (
        lambda f: edit_config(f, quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True}),
        "bitsandbytes",
    ),
    "one channel": (lambda f: edit_config(f, num_channels=1), "1 channel"),
    "a wrapper of timm": (lambda f: edit_config(f, model_type="timm_wrapper", architecture="resnet18"), "timm"),
    "another kind of model": (lambda f: edit_config(f, model_type="bert"), "Give a folder with"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_checkpoint_is_refused_by_its_name_and_in_few_words(what: str, vit: Path) -> None:
    breaks, words = BROKEN[what]
    breaks(vit)
    with pytest.raises(XaiaugError, match=words) as caught:
        ready(vit)
    assert str(vit) in str(caught.value)
    assert len(str(caught.value)) < 1200


def test_statistics_of_batch_norm_are_weights(tmp_path: Path) -> None:
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8], depths=[1], layer_type="basic")
    transformers.ResNetForImageClassification(config).save_pretrained(tmp_path)
    transformers.ConvNextImageProcessorPil(size={"shortest_edge": 32}).save_pretrained(tmp_path)
    without("num_batches_tracked")(tmp_path)
    assert ready(tmp_path).predict_proba([noise()]).shape == (1, 2)  # a counter that prediction never reads
    without("running_mean")(tmp_path)
    with pytest.raises(ConfigError, match="running_mean"):
        ready(tmp_path)


def test_a_head_of_another_size_than_its_settings_say_is_told_before_it_predicts(vit: Path, painted: Callable) -> None:
    edit_config(vit, id2label={"0": "a", "1": "b", "2": "c"}, label2id={"a": 0, "b": 1, "c": 2})
    classifier = ready(vit, ("a", "b", "c"))
    with pytest.raises(NotFittedError, match=r"of shape \(2,\) in the file and \(3,\) by config.json"):
        classifier.predict_proba([noise()])
    assert "training gives it a new one" in classifier.notes[0]
    classifier.fit(painted(6, classes=3), [], recipe=Recipe(steps=1, batch_size=2), seed=0)
    assert classifier.predict_proba([noise()]).shape == (1, 3)


# -- heads


def test_a_head_with_one_output_gives_its_label_the_sigmoid(tmp_path: Path) -> None:
    build(tmp_path, ["dog"])
    model = transformers.ViTForImageClassification.from_pretrained(tmp_path).eval()
    classifier = ready(tmp_path, ("cat", "dog"))
    with torch.no_grad():
        expected = model(classifier.preprocess([noise()]).pixels).logits.sigmoid().item()
    found = classifier.predict_proba([noise()])[0]
    np.testing.assert_allclose(found, [1 - expected, expected], atol=1e-6)
    np.testing.assert_allclose(ready(tmp_path, ("dog", "zebra")).predict_proba([noise()])[0], found[::-1], atol=1e-6)
    np.testing.assert_allclose(ready(tmp_path).predict_proba([noise()])[0], found, atol=1e-6)
    assert ready(tmp_path).labels == ("not dog", "dog")


@pytest.mark.parametrize(
    ("kind", "words"), [("multi_label_classification", "multi-label"), ("regression", "regression")]
)
def test_heads_of_another_meaning_do_not_predict_and_can_be_trained_anew(
    kind: str, words: str, tmp_path: Path, painted: Callable
) -> None:
    classifier = ready(build(tmp_path, ["cat", "dog"], problem_type=kind), ("cat", "dog"))
    with pytest.raises(NotFittedError, match=words):
        classifier.predict_proba([noise()])
    assert words in classifier.notes[0]
    classifier.fit(painted(4), [], recipe=Recipe(steps=1, batch_size=2), seed=0)
    assert classifier.predict_proba([noise()]).shape == (1, 2)
    assert classifier.module.config.problem_type is None


def test_training_mode_and_values_that_are_no_numbers_are_refused(tiny_vit: Path) -> None:
    classifier = ready(tiny_vit)
    classifier.module.vit.layers[1].train()
    for ask in (classifier.predict_proba, classifier.embed)[:1]:
        with pytest.raises(PluginError, match="training mode"):
            ask([noise()])
    classifier.module.eval()
    with torch.no_grad():
        classifier.module.classifier.bias[0] = float("nan")
    with pytest.raises(PluginError, match="not finite"):
        classifier.predict_proba([noise()])


def test_a_family_that_keeps_its_number_of_labels_apart_is_reordered_and_retrained(tmp_path: Path) -> None:
    sizes = {
        "hidden_sizes": [8, 16],
        "depths": [1, 1],
        "num_attention_heads": [1, 2],
        "sequence_reduction_ratios": [2, 1],
    }
    config = transformers.PvtConfig(
        image_size=32, num_encoder_blocks=2, patch_sizes=[4, 2], strides=[4, 2], mlp_ratios=[2, 2], **sizes
    )
    config.num_labels = 3
    config.id2label, config.label2id = {0: "a", 1: "b", 2: "c"}, {"a": 0, "b": 1, "c": 2}
    transformers.PvtForImageClassification(config).save_pretrained(tmp_path)
    transformers.PvtImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    plain = ready(tmp_path).predict_proba([noise()])
    assert plain.shape == (1, 3)
    np.testing.assert_allclose(
        ready(tmp_path, ("c", "a", "b")).predict_proba([noise()]), plain[:, [2, 0, 1]], atol=1e-6
    )
    module = replace_head(ready(tmp_path).module, ("x", "y"), 0)
    assert {value.shape[0] for name, value in module.named_parameters() if name in find_head_axes(module)} == {2}


# -- labels


@pytest.mark.parametrize(
    ("own", "classes"),
    [
        (["Cat", "Dog"], ("cat", "dog")),
        (["cat", "dog"], ("DOG", "cat")),
        (["golden retriever", "tabby cat"], ("golden_retriever", "tabby-cat")),
        ([unicodedata.normalize("NFD", "Löwe"), "Bär"], ("Bär", unicodedata.normalize("NFC", "Löwe"))),
    ],
)
def test_labels_in_another_spelling_keep_the_trained_head_and_say_so(
    own: list[str], classes: tuple[str, ...], tmp_path: Path
) -> None:
    build(tmp_path, own)
    classifier = ready(tmp_path, classes)
    assert classifier.labels == classes
    assert "taken for classes of the data" in classifier.notes[0]
    order = [match_labels(own, classes).names.index(label) for label in classes]
    np.testing.assert_allclose(
        classifier.predict_proba([noise()]), ready(tmp_path).predict_proba([noise()])[:, order], atol=1e-6
    )


def test_two_labels_that_fold_to_one_class_are_not_guessed() -> None:
    assert match_labels(["Cat", "CAT", "dog"], ("cat", "dog")).respelt == {}
    assert match_labels(["cat", "Dog"], ("Cat", "CAT", "dog")).respelt == {"Dog": "dog"}


def test_a_head_that_is_thrown_away_is_told_with_both_sets_of_labels_and_the_way_to_keep_it(tmp_path: Path) -> None:
    classifier = ready(build(tmp_path, ["LABEL_0", "LABEL_1"]), ("cat", "dog"))
    (note,) = classifier.notes
    for words in ("LABEL_0, LABEL_1", "cat, dog", '[classifier] labels = { "LABEL_0" = "cat", "LABEL_1" = "dog" }'):
        assert words in note
    kept = ready(tmp_path, ("cat", "dog"), labels={"LABEL_0": "dog", "LABEL_1": "cat"})
    assert kept.notes == ()
    np.testing.assert_allclose(
        kept.predict_proba([noise()])[:, ::-1], ready(tmp_path).predict_proba([noise()]), atol=1e-6
    )
    assert kept.fork().labels == ("cat", "dog")
    assert ready(tmp_path, ("cat", "dog"), new_head=True).notes == ()


def test_a_table_of_labels_names_labels_of_the_checkpoint(tmp_path: Path) -> None:
    build(tmp_path, ["tabby, tabby cat", "beagle"])
    with pytest.raises(ConfigError, match="did you mean 'beagle'"):
        ready(tmp_path, ("cat", "dog"), labels={"beagel": "dog"})
    with pytest.raises(ConfigError, match="several outputs"):
        ready(tmp_path, ("cat", "dog"), labels={"beagle": "dog", "tabby, tabby cat": "dog"})


def test_a_name_of_two_outputs_is_asked_back_where_the_data_use_it(tmp_path: Path) -> None:
    build(tmp_path, ["crane", "cat", "crane"])
    plain = ready(tmp_path)
    assert plain.labels == ("crane (0)", "cat", "crane (2)")
    with pytest.raises(ConfigError, match=r'labels = \{ "crane \(0\)" = "crane" \}'):
        ready(tmp_path, ("cat", "crane"))
    chosen = ready(tmp_path, ("cat", "crane"), labels={"crane (2)": "crane"}, restrict=True)
    expected = plain.predict_proba([noise()])[0, [1, 2]]
    np.testing.assert_allclose(chosen.predict_proba([noise()])[0], expected / expected.sum(), atol=1e-6)


def test_messages_about_a_thousand_labels_are_short(tmp_path: Path) -> None:
    build(tmp_path, [f"class number {index}" for index in range(1000)])
    classifier = ready(tmp_path, ("cat", "dog"))
    assert len(classifier.notes[0]) < 700
    assert "994 more" in classifier.notes[0]


def test_classes_without_images_follow_those_of_the_data(tmp_path: Path) -> None:
    build(tmp_path, ["bee", "cat", "Dog"])
    classifier = TransformersClassifier(str(tmp_path))
    assert classifier.complete_labels(("cat", "dog")) == ("cat", "dog", "bee")
    assert classifier.complete_labels(("cat", "fox")) == ("cat", "fox")
    assert TransformersClassifier(str(tmp_path), restrict=True).complete_labels(("cat", "dog")) == ("cat", "dog")


def test_a_saved_classifier_keeps_its_mapped_labels(tmp_path: Path) -> None:
    build(tmp_path / "made", ["LABEL_0", "LABEL_1"])
    classifier = ready(tmp_path / "made", ("cat", "dog"), labels={"LABEL_0": "dog", "LABEL_1": "cat"})
    classifier.save(tmp_path / "saved")
    loaded = TransformersClassifier.load(tmp_path / "saved")
    assert loaded.labels == ("cat", "dog")
    loaded.prepare(Context(labels=("cat", "dog"), device="cpu"))
    np.testing.assert_array_equal(loaded.predict_proba([noise()]), classifier.predict_proba([noise()]))


# -- adapters


def adapt(base: Path, folder: Path, classes: int | None = None, head: bool = True) -> transformers.PreTrainedModel:
    """Saves random adapters for a base, with a head of so many classes; returns the network with both."""
    peft = pytest.importorskip("peft")
    options = {} if classes is None else {"num_labels": classes, "ignore_mismatched_sizes": True}
    model = transformers.ViTForImageClassification.from_pretrained(base, **options)
    config = peft.LoraConfig(
        r=2,
        target_modules=["q_proj", "v_proj"],
        modules_to_save=["classifier"] if head else None,
        init_lora_weights=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of transformers about peft
        model = peft.get_peft_model(model, config)
        model.save_pretrained(folder)
    return model.eval()


def test_adapters_are_merged_into_their_base(vit: Path, tmp_path: Path) -> None:
    for head in (True, False):
        model = adapt(vit, tmp_path / f"lora-{head}", head=head)
        classifier = ready(tmp_path / f"lora-{head}", ("cat", "dog"))
        with torch.no_grad():
            expected = model(classifier.preprocess([noise()]).pixels).logits.softmax(-1).numpy()
        np.testing.assert_allclose(classifier.predict_proba([noise()]), expected, atol=1e-5)
        assert not any("lora" in name for name, _ in classifier.module.named_parameters())
        assert np.abs(expected - ready(vit).predict_proba([noise()])).max() > 1e-4


def test_adapters_bring_a_head_of_their_own_size(vit: Path, tmp_path: Path) -> None:
    model = adapt(vit, tmp_path / "lora", classes=3)
    table = {"LABEL_0": "a", "LABEL_1": "b", "LABEL_2": "c"}
    classifier = ready(tmp_path / "lora", ("a", "b", "c"), labels=table)
    with torch.no_grad():
        expected = model(classifier.preprocess([noise()]).pixels).logits.softmax(-1).numpy()
    np.testing.assert_allclose(classifier.predict_proba([noise()]), expected, atol=1e-5)


def test_adapters_whose_base_is_gone_or_another_are_refused(vit: Path, tmp_path: Path) -> None:
    adapt(vit, tmp_path / "lora")
    settings = json.loads((tmp_path / "lora" / "adapter_config.json").read_text())
    (tmp_path / "lora" / "adapter_config.json").write_text(
        json.dumps({**settings, "base_model_name_or_path": "/no/such/base"})
    )
    with pytest.raises(ConfigError, match=r"/no/such/base.*was not found.*merge_and_unload"):
        ready(tmp_path / "lora")
    build(tmp_path / "other", ["cat", "dog"])
    (tmp_path / "lora" / "adapter_config.json").write_text(
        json.dumps({**settings, "base_model_name_or_path": str(tmp_path / "other")})
    )
    with pytest.raises(ConfigError, match=r"adapters in .* do not fit .*layers\.1"):
        ready(tmp_path / "lora")


# -- keys


def test_a_checkpoint_is_keyed_by_its_content_wherever_it_lies(
    vit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(vit, tmp_path / "moved")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    names = (str(vit), "~/vit", "vit", "./vit", str(tmp_path / "moved"))
    first, *others = [TransformersClassifier(name).identity() for name in names]
    assert all(other == first for other in others)
    seen = (vit / "model.safetensors").stat()
    edit_weights(vit, lambda held: {name: value + 1 for name, value in held.items()})
    os.utime(vit / "model.safetensors", ns=(seen.st_atime_ns, seen.st_mtime_ns))  # same size, same date
    assert TransformersClassifier("~/vit").identity() != first
    assert TransformersClassifier("~/vit", restrict=True).identity() != TransformersClassifier("~/vit").identity()


def test_adapters_are_keyed_with_their_base(vit: Path, tmp_path: Path) -> None:
    adapt(vit, tmp_path / "lora")
    before = TransformersClassifier(str(tmp_path / "lora")).identity()
    edit_weights(vit, lambda held: {name: value + 1 for name, value in held.items()})
    assert TransformersClassifier(str(tmp_path / "lora")).identity() != before


# -- what a network sees


PROCESSORS = {
    "shortest and longest edge": lambda: transformers.ConditionalDetrImageProcessorPil(
        size={"shortest_edge": 40, "longest_edge": 60}, do_pad=False
    ),
    "enlarged first": lambda: transformers.LevitImageProcessorPil(size={"shortest_edge": 32}, crop_size=SQUARE),
    "by a share": lambda: transformers.PoolFormerImageProcessorPil(
        size={"shortest_edge": 32}, crop_size=SQUARE, crop_pct=0.8
    ),
    "cropped first": lambda: transformers.PerceiverImageProcessorPil(
        size={"height": 28, "width": 28}, crop_size=SQUARE
    ),
    "channels turned around": lambda: transformers.MobileViTImageProcessorPil(
        size={"shortest_edge": 36}, crop_size=SQUARE
    ),
    "centre crop": lambda: transformers.BitImageProcessorPil(size={"shortest_edge": 36}, crop_size=SQUARE),
}
SQUARE = {"height": 32, "width": 32}


def find_rim(processor: Callable, image: Image.Image, axis: int) -> tuple[int, int]:
    """The first and the last row or column of an image that the processor's output depends on."""
    pixels = np.asarray(image)
    plain = np.asarray(processor(images=[image], return_tensors="np")["pixel_values"])
    matters = []
    for place in range(pixels.shape[axis]):
        changed = pixels.copy()
        changed[(slice(None),) * axis + (place,)] = 255 - changed[(slice(None),) * axis + (place,)]
        found = np.asarray(processor(images=[Image.fromarray(changed)], return_tensors="np")["pixel_values"])
        matters.append(np.abs(found - plain).max() > 1e-6)
    rows = np.flatnonzero(matters)
    return int(rows[0]), int(rows[-1]) + 1


@pytest.mark.parametrize("size", [(90, 60), (48, 130)])
@pytest.mark.parametrize("name", PROCESSORS)
def test_pixels_and_boxes_are_the_processors_own_in_every_proportion(name: str, size: tuple[int, int]) -> None:
    from xaiaug.plugins.classifiers._preprocessor import Preprocessor

    processor = PROCESSORS[name]()
    preprocessor, image = Preprocessor(processor), noise(*size)
    expected = processor(images=[image], return_tensors="pt")["pixel_values"]
    found = preprocessor.normalize([preprocessor.make_frame(image)])
    torch.testing.assert_close(found, expected.float(), atol=1e-5, rtol=0)
    x0, y0, x1, y1 = preprocessor.find_box(image)
    reach = 2 * max(1, (x1 - x0) / found.shape[3], (y1 - y0) / found.shape[2])  # of a cubic filter, beyond the box
    for (low, high), (first, last) in (
        ((x0, x1), find_rim(processor, image, 1)),
        ((y0, y1), find_rim(processor, image, 0)),
    ):
        assert first - 1 <= low <= first + reach
        assert last - reach <= high <= last + 1


def test_images_of_two_sizes_under_a_processor_that_keeps_proportions(tmp_path: Path) -> None:
    config = transformers.TextNetConfig(hidden_sizes=[8, 8, 8, 8, 8], stem_out_channels=8, num_labels=2)
    transformers.TextNetForImageClassification(config).save_pretrained(tmp_path)
    transformers.TextNetImageProcessorPil(size={"shortest_edge": 64}).save_pretrained(tmp_path)
    classifier, images = ready(tmp_path), [noise(80, 70), noise(60, 110, 1), noise(60, 110, 2)]
    singles = np.concatenate([classifier.predict_proba([image]) for image in images])
    np.testing.assert_allclose(classifier.predict_proba(images), singles, atol=1e-5)


def test_networks_that_read_patches_or_tokens_are_refused_in_words(tmp_path: Path) -> None:
    part = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.Siglip2Config(
        vision_config={**part, "num_patches": 16, "patch_size": 8}, text_config={**part, "vocab_size": 10}
    )
    transformers.Siglip2ForImageClassification(config).save_pretrained(tmp_path / "naflex")
    transformers.Siglip2ImageProcessorPil(max_num_patches=16, patch_size=8).save_pretrained(tmp_path / "naflex")
    config = transformers.ImageGPTConfig(vocab_size=9, n_positions=16, n_embd=8, n_layer=1, n_head=1)
    transformers.ImageGPTForImageClassification(config).save_pretrained(tmp_path / "tokens")
    for name, words in (
        ("naflex", "patches or tokens; pass the network to TorchClassifier"),
        ("tokens", "reads tokens"),
    ):
        with pytest.raises(ConfigError, match=words):
            ready(tmp_path / name)


def test_images_deeper_than_8_bits_are_refused_not_clipped(tiny_vit: Path) -> None:
    classifier = ready(tiny_vit)
    for values in (np.full((8, 8), 40_000, np.uint16), np.full((8, 8), 3.5, np.float32)):
        for ask in (classifier.predict_proba, classifier.embed, classifier.preprocess):
            with pytest.raises(DataError, match="8 bits"):
                ask([Image.fromarray(values)])
