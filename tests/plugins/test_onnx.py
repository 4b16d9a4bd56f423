"""An ONNX file predicts what its network predicts, is refused where something is not clear, and is keyed by content."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from tiny_onnx import GAIN, save_model

from xaiaug import Context, Recipe, Splits, diagnose, load
from xaiaug.errors import ConfigError, MissingExtraError, UnsupportedRecipeError
from xaiaug.plugins.classifiers.onnx import OnnxClassifier
from xaiaug.testing import small_folder

LABELS = ["cat", "dog"]
UNIT = {"mean": [0, 0, 0], "std": [1, 1, 1]}
GREY = {"mean": [0], "std": [1]}


def opened(file: Path, labels: list[str] | None = LABELS, **settings: Any) -> OnnxClassifier:
    classifier = OnnxClassifier(str(file), labels, **settings)
    classifier.prepare(Context(device="cpu"))
    return classifier


def softmax(logits: np.ndarray) -> np.ndarray:
    scores = np.exp(logits)
    return scores / scores.sum(1, keepdims=True)


def colours(count: int = 3, size: tuple[int, int] = (20, 14)) -> list[Image.Image]:
    generator = np.random.default_rng(0)
    return [Image.new("RGB", size, tuple(generator.integers(0, 256, 3).tolist())) for _ in range(count)]


def means(images: list[Image.Image]) -> np.ndarray:
    return np.array([image.getpixel((0, 0)) for image in images]) / 255


# -- what it predicts


@pytest.mark.parametrize(
    "shape",
    [("n", 3, 8, 8), (1, 3, 8, 8), (4, 3, 8, 8), ("n", 8, 8, 3), (2, 8, 8, 3), ("n", 3, 6, 10)],
)
def test_layout_and_batch_are_read_from_the_file(shape: Sequence[int | str], tmp_path: Path) -> None:
    classifier, images = opened(save_model(tmp_path / "m.onnx", shape), **UNIT), colours(5)
    found = classifier.predict_proba(images)
    np.testing.assert_allclose(found, softmax(means(images) @ GAIN.T - 1), atol=1e-5)
    assert found.dtype == np.float32
    singles = np.concatenate([classifier.predict_proba([image]) for image in images])
    np.testing.assert_allclose(singles, found, atol=1e-6)
    assert classifier.predict_proba([]).shape == (0, 2)


def test_pixels_are_scaled_and_normalised_in_the_order_of_channels(tmp_path: Path) -> None:
    file, images = save_model(tmp_path / "m.onnx"), colours()
    mean, std = np.array([0.1, 0.2, 0.3]), np.array([0.5, 1.0, 2.0])
    expected = (means(images) - mean) / std
    found = opened(file, mean=mean.tolist(), std=std.tolist()).predict_proba(images)
    np.testing.assert_allclose(found, softmax(expected @ GAIN.T - 1), atol=1e-5)
    found = opened(file, mean=mean.tolist(), std=std.tolist(), channels="bgr").predict_proba(images)
    np.testing.assert_allclose(found, softmax(expected[:, ::-1] @ GAIN.T - 1), atol=1e-5)
    found = opened(file, **UNIT, scale=1 / 127.5).predict_proba(images)
    np.testing.assert_allclose(found, softmax(2 * means(images) @ GAIN.T - 1), atol=1e-5)


def test_whole_numbers_and_grey_are_passed_as_the_model_reads_them(tmp_path: Path) -> None:
    images = colours()
    bytes_ = save_model(tmp_path / "b.onnx", kind=TensorProto.UINT8, gain=GAIN / 255)
    np.testing.assert_allclose(opened(bytes_).predict_proba(images), softmax(means(images) @ GAIN.T - 1), atol=1e-5)
    with pytest.raises(ConfigError, match="whole numbers from 0 to 255; leave out mean, std"):
        opened(bytes_, **UNIT)
    grey = save_model(tmp_path / "g.onnx", ("n", 1, 8, 8), gain=np.float32([[2], [-3]]))
    values = np.array([[np.asarray(image.convert("L"))[0, 0] / 255] for image in images])
    expected = softmax(values @ np.float32([[2, -3]]) - 1)
    np.testing.assert_allclose(opened(grey, **GREY).predict_proba(images), expected, atol=1e-5)
    half = save_model(tmp_path / "h.onnx", kind=TensorProto.FLOAT16)
    np.testing.assert_allclose(
        opened(half, **UNIT).predict_proba(images), softmax(means(images) @ GAIN.T - 1), atol=3e-3
    )


def test_logits_and_probabilities_are_told_apart_and_checked(tmp_path: Path) -> None:
    images = colours()
    logits, chances = save_model(tmp_path / "l.onnx"), save_model(tmp_path / "p.onnx", softmax=True)
    expected = opened(logits, **UNIT).predict_proba(images)
    np.testing.assert_allclose(opened(chances, **UNIT).predict_proba(images), expected, atol=1e-6)
    np.testing.assert_allclose(
        opened(chances, **UNIT, outputs="probabilities").predict_proba(images), expected, atol=1e-6
    )
    with pytest.raises(ConfigError, match="said to answer with logits, but its values sum to 1"):
        opened(chances, **UNIT, outputs="logits")
    with pytest.raises(ConfigError, match="said to answer with probabilities, but gives values from"):
        opened(logits, **UNIT, outputs="probabilities")
    with pytest.raises(ConfigError, match="outputs must be 'logits' or 'probabilities', got 'scores'"):
        opened(logits, **UNIT, outputs="scores")
    unclear = save_model(tmp_path / "u.onnx", gain=np.float32([[2.4, 0, 0], [0, 2.8, 0]]))
    with pytest.raises(ConfigError, match="not clear whether u.onnx answers with logits or probabilities.*sigmoid"):
        opened(unclear, **UNIT)
    assert opened(unclear, **UNIT, outputs="logits").predict_proba(images).shape == (3, 2)


def test_one_column_is_the_second_of_two_classes(tmp_path: Path) -> None:
    images, gain = colours(), np.float32([[30, -20, 8]])
    classifier = opened(save_model(tmp_path / "m.onnx", gain=gain), **UNIT)
    second = 1 / (1 + np.exp(1 - means(images) @ gain[0]))
    np.testing.assert_allclose(classifier.predict_proba(images), np.stack([1 - second, second], 1), atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "size", "box"),
    [
        ({}, (40, 20), (11, 1.25, 29, 18.75)),
        ({"crop": 1.0}, (40, 20), (10, 0, 30, 20)),
        ({"resize": "stretch"}, (40, 20), (0, 0, 40, 20)),
        ({"resize": "stretch", "crop": 0.5}, (40, 20), (10, 5, 30, 15)),
        ({"crop": 1.0}, (20, 50), (0, 15, 20, 35)),
    ],
)
def test_it_tells_what_it_sees_and_sees_that(
    settings: dict[str, Any], size: tuple[int, int], box: tuple[float, ...], tmp_path: Path
) -> None:
    classifier = opened(save_model(tmp_path / "m.onnx"), **UNIT, interpolation="nearest", **settings)
    found = classifier.find_box(Image.new("RGB", size))
    np.testing.assert_allclose(found, box, atol=2.6)
    if "crop" in settings or "resize" in settings:
        np.testing.assert_allclose(found, box)
    image = Image.new("RGB", size, "white")
    image.paste((10, 200, 30), tuple(round(edge) for edge in found))
    expected = softmax(np.array([[10, 200, 30]]) / 255 @ GAIN.T - 1)
    np.testing.assert_allclose(classifier.predict_proba([image]), expected, atol=1e-5)


def test_it_crops_as_torchvision_does(tmp_path: Path) -> None:
    """Resize(256) and CenterCrop(224), written out."""
    classifier = opened(save_model(tmp_path / "m.onnx", ("n", 3, 224, 224)), **UNIT)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 451, 3), dtype=np.uint8))
    resized = image.resize((int(256 * 451 / 300), 256), Image.Resampling.BILINEAR)
    left, top = round((resized.width - 224) / 2), 16
    expected = np.asarray(resized.crop((left, top, left + 224, top + 224)))
    np.testing.assert_array_equal(classifier._get_ready().pixels.make_frame(image), expected)


# -- its labels


@pytest.mark.parametrize(
    "metadata",
    [
        {"labels": '["cat", "dog"]'},
        {"names": "{0: 'cat', 1: 'dog'}"},
        {"id2label": '{"1": "dog", "0": "cat"}'},
        {"classes": "cat, dog"},
        {"class_names": "cat\ndog\n"},
    ],
)
def test_labels_are_read_from_the_metadata(metadata: dict[str, str], tmp_path: Path) -> None:
    assert opened(save_model(tmp_path / "m.onnx", metadata=metadata), None, **UNIT).labels == ("cat", "dog")


def test_labels_in_another_order_reorder_the_outputs(tmp_path: Path) -> None:
    classifier = opened(save_model(tmp_path / "m.onnx"), **UNIT)
    expected = classifier.predict_proba(colours())
    classifier.prepare(Context(labels=("dog", "cat")))
    np.testing.assert_array_equal(classifier.predict_proba(colours()), expected[:, ::-1])


@pytest.mark.parametrize(
    ("labels", "metadata", "words"),
    [
        (None, {}, "does not name its classes; give labels="),
        (["cat"], {}, "two classes or more"),
        (["cat", "cat"], {}, "several: cat"),
        (["a", "b", "c"], {}, "no output of shape n 3, one number for each label; it has out"),
        (None, {"names": "{1: 'cat', 2: 'dog'}"}, "names in the metadata of m.onnx: labels must be a list"),
        (None, {"names": "{0: 'cat', 0.5: 'dog'}"}, "labels must"),
    ],
)
def test_labels_that_are_not_clear_are_refused(
    labels: list[str] | None, metadata: dict[str, str], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=words):
        opened(save_model(tmp_path / "m.onnx", metadata=metadata), labels, **UNIT)


# -- a checkpoint's own files beside it


def test_the_image_processor_and_config_beside_it_are_used_unless_something_is_set(
    tiny_vit: Path, tmp_path: Path
) -> None:
    from transformers import AutoImageProcessor

    file = save_model(tmp_path / "model.onnx", ("n", 3, 32, 32))
    for name in ("preprocessor_config.json", "config.json"):
        shutil.copy(tiny_vit / name, tmp_path)
    classifier, images = opened(file, None), colours()
    pixels = AutoImageProcessor.from_pretrained(tiny_vit, backend="pil")(images, return_tensors="np")["pixel_values"]
    assert classifier.labels == ("cat", "dog")
    expected = softmax(pixels.mean((2, 3)) @ GAIN.T - 1)
    np.testing.assert_allclose(classifier.predict_proba(images), expected, atol=1e-5)
    classifier.save(tmp_path / "saved")
    np.testing.assert_array_equal(
        OnnxClassifier.load(tmp_path / "saved").predict_proba(images), classifier.predict_proba(images)
    )
    set_here = opened(file, None, **UNIT).predict_proba(images)
    np.testing.assert_allclose(set_here, softmax(means(images) @ GAIN.T - 1), atol=1e-5)
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(ConfigError, match="preprocessor_config.json' cannot be used.*give mean="):
        opened(file, None)


# -- what it refuses


@pytest.mark.parametrize(
    ("shape", "settings", "words"),
    [
        (("n", 3, "h", "w"), UNIT, "takes images of any size.*give size="),
        (("n", 3, 8, 8), {**UNIT, "size": 16}, "reads 8 x 8 pixels .*make 16 x 16"),
        (("n", 3, "h", "w"), {**UNIT, "size": [8]}, "size must be height and width"),
        (("n", "c", 8, 8), UNIT, "does not show where its 3 channels"),
        (("n", 3, 8, 3), UNIT, "does not show where its 3 channels"),
        (("n", 3, 8, 8), {}, "nothing says how its pixels are normalised; give mean= and std="),
        (("n", 3, 8, 8), {"mean": [0], "std": [1]}, "mean must hold a number for each of the 3 channels"),
        (("n", 3, 8, 8), {**UNIT, "std": [1, 0, 1]}, "std must be above 0"),
        (("n", 3, 8, 8), {**UNIT, "resize": "shortest"}, "resize = 'shortest' is not known"),
        (("n", 3, 8, 8), {**UNIT, "channels": "bgrr"}, "Did you mean 'bgr'"),
        (("n", 3, 8, 8), {**UNIT, "interpolation": "cubic"}, "Did you mean 'bicubic'"),
        (("n", 3, 8, 8), {**UNIT, "crop": 1.5}, "crop must be above 0 and at most 1"),
        (("n", 3, 8, 8), {**UNIT, "scale": 0.0}, "scale must be above 0"),
        (("n", 3, 8, 8), {**UNIT, "output": "logits"}, "has no output 'logits'; it has out"),
        (("n", 3, 8, 8), {**UNIT, "batch_size": 0}, "batch_size must be 1 or more"),
    ],
)
def test_what_is_not_clear_is_refused(
    shape: Sequence[int | str], settings: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        opened(save_model(tmp_path / "m.onnx", shape), **settings)
    assert len(str(caught.value)) < 500


def test_a_size_is_needed_only_where_the_file_has_none(tmp_path: Path) -> None:
    file, images = save_model(tmp_path / "m.onnx", ("n", 3, "h", "w")), colours()
    for size in (8, [6, 10]):
        found = opened(file, **UNIT, size=size).predict_proba(images)
        np.testing.assert_allclose(found, softmax(means(images) @ GAIN.T - 1), atol=1e-5)


def test_of_several_outputs_one_is_named(tmp_path: Path) -> None:
    file = save_model(tmp_path / "m.onnx", second_output=True, softmax=True)
    with pytest.raises(ConfigError, match="several outputs of shape n 2.*name the one with the classes, output="):
        opened(file, **UNIT)
    one, other = (opened(file, **UNIT, output=name).predict_proba(colours()) for name in ("out", "scores"))
    np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "Git LFS pointer"),
        (b"no protobuf at all", "cannot be opened"),
        (b"", "cannot be opened"),
    ],
)
def test_a_file_that_is_no_model_is_refused(content: bytes | None, words: str, tmp_path: Path) -> None:
    file = tmp_path / "m.onnx"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=words) as caught:
        opened(file, **UNIT)
    assert len(str(caught.value)) < 600


def test_a_cut_file_and_one_without_its_data_are_refused(tmp_path: Path) -> None:
    whole = save_model(tmp_path / "whole.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigError, match="cannot be opened"):
        opened(tmp_path / "cut.onnx", **UNIT)
    file = save_model(tmp_path / "m.onnx", external=True)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ConfigError, match="cannot be opened"):
        opened(file, **UNIT)


def test_answers_that_depend_on_the_batch_are_refused(tmp_path: Path) -> None:
    file = save_model(tmp_path / "m.onnx")
    model = onnx.load(str(file))
    nodes = model.graph.node
    nodes[-1].output[0] = "before"
    nodes.append(helper.make_node("ReduceMean", ["before", "batch"], ["mean"], keepdims=1))
    nodes.append(helper.make_node("Sub", ["before", "mean"], ["out"]))
    model.graph.initializer.append(numpy_helper.from_array(np.int64([0]), "batch"))
    onnx.save(model, str(file))
    with pytest.raises(ConfigError, match="differently for several images at once than for each alone"):
        opened(file, **UNIT, outputs="logits")


def test_a_model_that_takes_one_image_although_it_says_any_is_asked_one_by_one(tmp_path: Path) -> None:
    file = save_model(tmp_path / "m.onnx")
    model = onnx.load(str(file))
    nodes = model.graph.node
    nodes[-1].output[0] = "before"
    nodes.append(helper.make_node("Reshape", ["before", "shape"], ["out"]))
    model.graph.initializer.append(numpy_helper.from_array(np.int64([1, 2]), "shape"))
    onnx.save(model, str(file))
    images = colours()
    np.testing.assert_allclose(
        opened(file, **UNIT).predict_proba(images), softmax(means(images) @ GAIN.T - 1), atol=1e-5
    )


def test_without_onnxruntime_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = save_model(tmp_path / "m.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'xaiaug\[onnx\]'"):
        opened(file, **UNIT)


def test_training_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedRecipeError, match="cannot be trained"):
        opened(save_model(tmp_path / "m.onnx"), **UNIT).fit([], [], recipe=Recipe(), seed=0)


# -- what it is known by


def test_it_is_keyed_by_content_not_by_place(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    file = save_model(tmp_path / "m.onnx")
    copy = Path(shutil.copy(file, tmp_path / "other"))
    first = OnnxClassifier(str(file), LABELS, **UNIT).identity()
    assert OnnxClassifier(str(copy), LABELS, **UNIT).identity() == first
    assert OnnxClassifier(str(file), LABELS[::-1], **UNIT).identity() != first
    save_model(file, gain=2 * GAIN)
    assert OnnxClassifier(str(file), LABELS, **UNIT).identity() != first


def test_weights_beside_the_file_are_part_of_it(tmp_path: Path) -> None:
    file = save_model(tmp_path / "m.onnx", external=True)
    classifier = opened(file, **UNIT)
    before, expected = classifier.identity(), classifier.predict_proba(colours())
    classifier.save(tmp_path / "saved")
    save_model(file, gain=2 * GAIN, external=True)
    assert OnnxClassifier(str(file), LABELS, **UNIT).identity() != before
    loaded = OnnxClassifier.load(tmp_path / "saved")
    np.testing.assert_array_equal(loaded.predict_proba(colours()), expected)
    assert loaded.identity() == before
    assert pickle.loads(pickle.dumps(loaded)).parameters() == classifier.parameters()  # noqa: S301


# -- diagnosed


def test_it_is_diagnosed_by_occlusion_from_python_and_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from xaiaug.cli import main

    photos = small_folder(tmp_path / "photos")
    file = save_model(tmp_path / "m.onnx")
    assert Splits.from_folder(photos).labels == ("cat", "dog")
    result = diagnose(file, photos, tmp_path / "run", labels=LABELS, parameters=UNIT, most=2)
    assert result.mistakes and {case.method for case in result.mistakes} == {"occlusion"}
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    for labels in ("cat,dog", str(tmp_path / "labels.txt")):
        arguments = ["--checkpoint", str(file), "--labels", labels, "--limit", "2", "--run-dir", str(tmp_path / "run")]
        options = ["--set", "mean=[0, 0, 0]", "--set", "std=[1, 1, 1]"]
        monkeypatch.setattr(sys, "argv", ["xaiaug", "diagnose", str(photos), *arguments, *options])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        assert "report:" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["xaiaug", "diagnose", str(photos), *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "nothing says how its pixels are normalised" in capsys.readouterr().err


def test_it_explains_the_part_that_it_sees(tmp_path: Path) -> None:
    classifier = opened(save_model(tmp_path / "m.onnx", ("n", 3, 32, 32)), **UNIT, crop=1.0)
    image = Image.new("RGB", (80, 40), "black")
    image.paste((0, 255, 0), (44, 8, 54, 18))
    for name, options in (("occlusion", {}), ("rise", {"masks": 300})):
        (found,) = load("explainer", name, **options).explain(classifier, [image], [1])
        assert np.isnan(found.heatmap[:, :20]).all() and np.isnan(found.heatmap[:, 60:]).all()
        assert np.isfinite(found.heatmap[:, 20:60]).all()
        y, x = np.unravel_index(np.nanargmax(found.heatmap), found.heatmap.shape)
        assert 44 <= x < 54 and 8 <= y < 18


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_network_exported_by_torch_predicts_the_same(tmp_path: Path) -> None:
    import torch

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = torch.nn.Conv2d(3, 4, 3), torch.nn.Linear(4, 3)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return 9 * self.last(self.first(pixels).relu().mean((2, 3)))

    torch.manual_seed(0)
    network, file = Network().eval(), tmp_path / "m.onnx"
    try:
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, 16, 16),),
            str(file),
            dynamo=False,
            input_names=["pixels"],
            output_names=["logits"],
            dynamic_axes={"pixels": {0: "n"}, "logits": {0: "n"}},
        )
    except (ImportError, AttributeError, TypeError) as error:
        pytest.skip(f"this torch does not export: {error}")
    images = [Image.fromarray(np.random.default_rng(i).integers(0, 256, (16, 16, 3), dtype=np.uint8)) for i in range(3)]
    pixels = torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        expected = network(pixels).softmax(-1).numpy()
    classifier = opened(file, ["a", "b", "c"], **UNIT, crop=1.0, outputs="logits")
    np.testing.assert_allclose(classifier.predict_proba(images), expected, atol=1e-5)


def test_the_state_of_a_saved_one_is_plain(tmp_path: Path) -> None:
    opened(save_model(tmp_path / "m.onnx"), **UNIT).save(tmp_path / "saved")
    state = json.loads((tmp_path / "saved" / "xaiaug.json").read_text())
    assert state["labels"] == LABELS and state["file"] == "m.onnx"
