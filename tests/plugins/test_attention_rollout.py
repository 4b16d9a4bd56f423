"""Attention rollout equals its definition, lies where the patches lie, and leaves the network as it was."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from families import TRANSFORMERS, Guess, attentions, read, transformer, wrapped
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from xaiaug.errors import ConfigError, DataError, PluginError, UndefinedMethodError
from xaiaug.interfaces import Context
from xaiaug.plugins.classifiers.transformers import TransformersClassifier
from xaiaug.plugins.explainers._aggregation import rollout
from xaiaug.plugins.explainers._attention import record_attention
from xaiaug.plugins.explainers._heatmap import place
from xaiaug.plugins.explainers.attention_rollout import AttentionRollout

SMALL = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32, "num_labels": 2}
VITS = {
    "vit": transformers.ViTConfig(**SMALL, image_size=32, patch_size=8),
    "deit": transformers.DeiTConfig(**SMALL, image_size=32, patch_size=8, architectures=["DeiTForImageClassification"]),
    "deit-distilled": transformers.DeiTConfig(
        **SMALL, image_size=32, patch_size=8, architectures=["DeiTForImageClassificationWithTeacher"]
    ),
    "dinov2": transformers.Dinov2Config(**SMALL, image_size=28, patch_size=7),
    "dinov2-registers": transformers.Dinov2WithRegistersConfig(**SMALL, image_size=28, patch_size=7),
}
PREFIX = {"vit": 1, "deit": 2, "deit-distilled": 2, "dinov2": 1, "dinov2-registers": 5}


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def spread(model: torch.nn.Module) -> torch.nn.Module:
    """Draws all weights large, so that attention is far from uniform."""
    generator = torch.Generator().manual_seed(3)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.4
    return model


def kept(model: transformers.PreTrainedModel, processor: object, folder: Path) -> Path:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def ready(folder: Path) -> TransformersClassifier:
    classifier = TransformersClassifier(str(folder))
    classifier.prepare(Context(device="cpu"))
    return classifier


def saved(config: object, folder: Path, size: dict[str, int] | None = None) -> Path:
    edge = getattr(config, "image_size", 32)
    processor = transformers.ViTImageProcessorPil(size=size or {"height": edge, "width": edge})
    return kept(spread(transformers.AutoModelForImageClassification.from_config(config)), processor, folder)


@pytest.fixture(params=VITS)
def family(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    return request.param, saved(VITS[request.param], tmp_path)


@pytest.fixture
def vit(tiny_vit: Path) -> TransformersClassifier:
    return ready(tiny_vit)


def by_definition(
    folder: Path, image: Image.Image, fuse: Callable[..., np.ndarray] = np.mean, discard: float = 0.0
) -> np.ndarray:
    """The whole product of matrices, in plain numpy over the library's own eager attentions: n n, float64."""
    model = transformers.AutoModelForImageClassification.from_pretrained(folder, attn_implementation="eager").eval()
    pixels = transformers.AutoImageProcessor.from_pretrained(folder)(image, return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        layers = model(pixels, output_attentions=True).attentions
    product = np.eye(layers[0].shape[-1])
    for layer in layers:
        attention = fuse(layer[0].double().numpy(), axis=0)
        smallest = np.argsort(attention, axis=None)[: int(discard * attention.size)]
        attention[np.unravel_index(smallest, attention.shape)] = 0
        flow = attention + np.eye(len(attention))
        product = flow / flow.sum(1, keepdims=True) @ product
    return product


# -- the definition


def test_it_is_the_product_over_the_librarys_own_attentions(family: tuple[str, Path]) -> None:
    name, folder = family
    image = noise(40, 33)
    product = by_definition(folder, image)
    row = product[:2].mean(0) if name == "deit-distilled" else product[0]
    (found,) = AttentionRollout().explain(ready(folder), [image], [1])
    np.testing.assert_allclose(found.grid, row[PREFIX[name] :].reshape(4, 4), atol=1e-5)
    assert found.grid.dtype == found.heatmap.dtype == np.float32
    assert (found.method, found.target, found.class_specific) == ("attention-rollout", 1, False)
    assert not found.degenerate


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_in_every_family_it_reads_the_row_that_the_head_reads(name: str) -> None:
    network, image = transformer(name), noise(32, 32)
    layers, _ = attentions(network, image)
    pooled = layers.pop().mean(0)[0] if name == "siglip-pooled" else None
    product = np.eye(layers[0].shape[-1])
    for layer in layers[:3]:
        product = (layer.mean(0) + np.eye(len(product))) / 2 @ product
    (found,) = AttentionRollout().explain(wrapped(network), [image], [2])
    np.testing.assert_allclose(found.grid, read(product, name, pooled), atol=1e-5)


@pytest.mark.parametrize("fusion", ["mean", "max", "min"])
@pytest.mark.parametrize("discard", [0.0, 0.4])
def test_every_fusion_and_discard_ratio_is_its_definition(tiny_vit: Path, fusion: str, discard: float) -> None:
    image = noise(32, 32)
    expected = by_definition(tiny_vit, image, getattr(np, fusion), discard)[0, 1:].reshape(4, 4)
    explainer = AttentionRollout(head_fusion=fusion, discard_ratio=discard)
    (found,) = explainer.explain(ready(tiny_vit), [image], [0])
    np.testing.assert_allclose(found.grid, expected, atol=1e-5)


@st.composite
def random_attentions(draw: st.DrawFn) -> np.ndarray:
    layers, batch, n = draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(1, 9))
    scores = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).normal(0, 3, (layers, batch, n, n))
    weights = np.exp(scores)
    return weights / weights.sum(-1, keepdims=True)


@given(random_attentions(), st.floats(0.2, 3))
def test_the_row_is_that_of_the_matrix_product_and_sums_to_one(maps: np.ndarray, scale: float) -> None:
    maps = maps * scale  # as after another fusion than the mean
    n = maps.shape[-1]
    flows = maps + np.eye(n)
    flows /= flows.sum(-1, keepdims=True)
    product = flows[0]
    for flow in flows[1:]:
        product = flow @ product
    found = rollout([torch.tensor(layer, dtype=torch.float32) for layer in maps], torch.eye(n)[0])
    np.testing.assert_allclose(found, product[:, 0], atol=1e-5)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)


@given(random_attentions())
def test_maps_whose_rows_sum_to_one_are_read_once_for_the_same_row(maps: np.ndarray) -> None:
    layers = [torch.tensor(layer, dtype=torch.float32) for layer in maps]
    start = torch.full((maps.shape[-1],), 1 / maps.shape[-1])
    torch.testing.assert_close(rollout(layers, start, sums_to_one=True), rollout(layers, start), atol=1e-6, rtol=1e-5)


def test_attention_to_itself_alone_leaves_nothing_on_the_patches() -> None:
    found = rollout([torch.eye(5).expand(2, 5, 5)] * 3, torch.eye(5)[0])
    assert torch.equal(found, torch.tensor([[1.0, 0, 0, 0, 0]] * 2))


def test_uniform_attention_gives_a_uniform_map_which_is_called_degenerate(tiny_vit: Path, tmp_path: Path) -> None:
    model = transformers.ViTForImageClassification.from_pretrained(tiny_vit)
    for layer in model.modules():
        if hasattr(layer, "q_proj"):
            layer.q_proj.weight.data.zero_()
            layer.q_proj.bias.data.zero_()
    folder = kept(model, transformers.AutoImageProcessor.from_pretrained(tiny_vit), tmp_path)
    (found,) = AttentionRollout().explain(ready(folder), [noise(32, 32)], [0])
    # Two layers of (uniform + identity) / 2 over 17 tokens.
    np.testing.assert_allclose(found.grid, (1 / 17 + 1 / 2 * 1 / 17) / 2, atol=1e-6)
    assert found.degenerate


def test_low_precision_networks_are_followed_in_float32(vit: TransformersClassifier) -> None:
    images, targets = [noise(32, 32)], [0]
    (exact,) = AttentionRollout().explain(vit, images, targets)
    with torch.autocast("cpu", torch.bfloat16):
        (found,) = AttentionRollout().explain(vit, images, targets)
    assert found.grid.dtype == np.float32
    np.testing.assert_allclose(found.grid, exact.grid, rtol=0.1)
    assert np.unique(found.grid).size > 8


# -- batches and sizes


def test_a_batch_is_the_stack_of_its_images(family: tuple[str, Path]) -> None:
    classifier = ready(family[1])
    images = [noise(40 + index, 30 + index % 3, index) for index in range(19)]
    together = AttentionRollout().explain(classifier, images, [index % 2 for index in range(19)])
    assert [found.target for found in together] == [index % 2 for index in range(19)]
    for image, found in zip(images, together, strict=True):
        (single,) = AttentionRollout().explain(classifier, [image], [0])
        np.testing.assert_allclose(found.grid, single.grid, atol=1e-6)
        assert found.heatmap.shape == (image.height, image.width)


def test_networks_on_oblong_images_have_oblong_grids(tmp_path: Path) -> None:
    folder = saved(VITS["vit"], tmp_path, size={"height": 32, "width": 64})
    model = transformers.AutoModelForImageClassification.from_pretrained(folder, attn_implementation="eager").eval()
    image = noise(70, 33)
    pixels = transformers.AutoImageProcessor.from_pretrained(folder)(image, return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        layers = model(pixels, output_attentions=True, interpolate_pos_encoding=True).attentions
    expected = rollout([layer.mean(1) for layer in layers], torch.eye(33)[0])[0, 1:].reshape(4, 8)
    (found,) = AttentionRollout().explain(ready(folder), [image], [0])
    np.testing.assert_allclose(found.grid, expected, atol=1e-5)
    assert found.heatmap.shape == (33, 70)


def test_no_images_are_refused(vit: TransformersClassifier) -> None:
    with pytest.raises(DataError, match="attention-rollout: got no images to explain ViTForImageClassification"):
        AttentionRollout().explain(vit, [], [])


# -- placement


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_over_the_whole_image_it_is_bilinear_interpolation(gh: int, gw: int, h: int, w: int, seed: int) -> None:
    grid = np.random.default_rng(seed).normal(size=(gh, gw)).astype(np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(grid)[None, None], (h, w), mode="bilinear", align_corners=False
    )
    np.testing.assert_allclose(place(grid, (0, 0, w, h), (w, h)), expected[0, 0], atol=1e-5)


@given(st.integers(0, 10), st.integers(1, 20), st.integers(0, 10), st.integers(1, 20))
def test_pixels_outside_the_box_are_nan_and_none_inside(x: int, w: int, y: int, h: int) -> None:
    found = place(np.full((3, 4), 2.5, np.float32), (x, y, x + w, y + h), (40, 35))
    inside = np.zeros((35, 40), bool)
    inside[y : y + h, x : x + w] = True
    assert (np.isnan(found) == ~inside).all()
    np.testing.assert_allclose(found[inside], 2.5, rtol=1e-6)


def test_a_box_beyond_the_image_is_padding() -> None:
    found = place(np.array([[1, 2, 3, 4]], np.float32), (-10, 0, 30, 10), (20, 10))
    assert found.shape == (10, 20)
    assert np.isfinite(found).all()
    assert (found[0, 0], found[0, 4], found[0, 14]) == pytest.approx((1.55, 1.95, 2.95))


@pytest.fixture
def sees_light(tmp_path: Path) -> TransformersClassifier:
    """A ViT whose every token attends to bright patches, behind a centre crop."""
    config = transformers.ViTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, image_size=32, patch_size=4
    )
    model = transformers.ViTForImageClassification(config)
    for parameter in model.parameters():
        parameter.data.zero_()
    for norm in model.modules():
        if isinstance(norm, torch.nn.LayerNorm):
            norm.weight.data.fill_(1)
    brightness = next(part for part in model.modules() if isinstance(part, torch.nn.Conv2d))
    brightness.weight.data[0], brightness.weight.data[1] = 1, -1
    attention = next(part for part in model.modules() if hasattr(part, "k_proj"))
    attention.q_proj.bias.data[0] = 30
    attention.k_proj.weight.data[0, 0] = 1
    processor = transformers.BitImageProcessorPil(
        size={"shortest_edge": 32},
        crop_size={"height": 32, "width": 32},
        image_mean=[0, 0, 0],
        image_std=[1, 1, 1],
    )
    return ready(kept(model, processor, tmp_path))


@pytest.mark.parametrize(
    ("size", "spot"), [((288, 96), (102, 6)), ((288, 96), (186, 90)), ((96, 288), (6, 102)), ((96, 96), (54, 90))]
)
def test_a_bright_spot_lights_its_own_place(
    sees_light: TransformersClassifier, size: tuple[int, int], spot: tuple[int, int]
) -> None:
    image = Image.new("RGB", size)
    ImageDraw.Draw(image).rectangle((spot[0] - 3, spot[1] - 3, spot[0] + 2, spot[1] + 2), fill="white")
    (found,) = AttentionRollout().explain(sees_light, [image], [0])
    rows, columns = np.nonzero(found.heatmap > 0.8 * np.nanmax(found.heatmap))
    assert found.heatmap[spot[1], spot[0]] > 0.9 * np.nanmax(found.heatmap)
    # No further than the cell of 12 pixels that the spot lies in.
    assert np.abs(columns + 0.5 - spot[0]).max() <= 6
    assert np.abs(rows + 0.5 - spot[1]).max() <= 6
    assert np.isnan(found.heatmap).mean() == pytest.approx(1 - 96 * 96 / (size[0] * size[1]))


def test_a_bright_spot_outside_the_crop_lights_nothing(sees_light: TransformersClassifier) -> None:
    image = Image.new("RGB", (288, 96))
    ImageDraw.Draw(image).rectangle((40, 40, 60, 60), fill="white")
    (found,) = AttentionRollout().explain(sees_light, [image], [0])
    assert found.degenerate


# -- no trace


def implementations(module: torch.nn.Module) -> list[str]:
    return [part.config._attn_implementation for part in module.modules() if hasattr(part, "config")]


def hooks(module: torch.nn.Module) -> int:
    return sum(
        len(part._forward_hooks) + len(part._forward_pre_hooks) + len(part._backward_hooks) for part in module.modules()
    )


def test_the_network_is_left_as_it_was_and_answers_as_before(vit: TransformersClassifier) -> None:
    images = [noise(32, 32)]
    before, ways, count = vit.predict_proba(images), implementations(vit.module), hooks(vit.module)
    AttentionRollout().explain(vit, images, [0])
    assert implementations(vit.module) == ways
    assert hooks(vit.module) == count
    np.testing.assert_array_equal(vit.predict_proba(images), before)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_it_is_left_as_it_was_when_the_forward_fails(
    vit: TransformersClassifier, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error("in the middle")

    images = [noise(32, 32)]
    expected = vit.predict_proba(images)
    ways = implementations(vit.module)
    with monkeypatch.context() as patch:
        patch.setattr(vit.module.classifier, "forward", fail)
        with pytest.raises(error, match="in the middle"):
            AttentionRollout().explain(vit, images, [0])
    assert implementations(vit.module) == ways
    np.testing.assert_array_equal(vit.predict_proba(images), expected)
    assert len(AttentionRollout().explain(vit, images, [0])) == 1


def test_recording_does_not_change_the_logits(family: tuple[str, Path]) -> None:
    classifier = ready(family[1])
    pixels = classifier.preprocess([noise(40, 33)]).pixels
    with torch.inference_mode():
        expected = classifier.module(pixels).logits
        with record_attention(classifier.module) as recording:
            found = classifier.module(pixels).logits
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert len(recording.maps) == 3


def test_threads_explain_and_predict_side_by_side(vit: TransformersClassifier) -> None:
    images = [noise(32, 32, index) for index in range(6)]
    maps = [found.grid for found in AttentionRollout().explain(vit, images, [0] * 6)]
    predictions = vit.predict_proba(images)
    start = threading.Barrier(6)

    def work(number: int) -> bool:
        start.wait()
        if number % 2:
            found = [vit.predict_proba(images) for _ in range(8)]
            return all(np.allclose(each, predictions, atol=1e-6) for each in found)
        again = [AttentionRollout().explain(vit, images, [0] * 6) for _ in range(4)]
        return all(np.allclose(a.grid, b, atol=1e-6) for each in again for a, b in zip(each, maps, strict=True))

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, range(6))) == [True] * 6
    assert set(implementations(vit.module)) == {"sdpa"}


# -- what it refuses


REFUSED = {
    "swin": (
        transformers.SwinConfig(
            image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4
        ),
        "windows",
    ),
    "resnet": (
        transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"),
        "no self-attention",
    ),
    "convnext": (transformers.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2), "no self-attention"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_where_it_is_not_defined_the_error_names_other_methods(name: str, tmp_path: Path) -> None:
    config, reason = REFUSED[name]
    classifier = ready(saved(config, tmp_path, size={"height": 32, "width": 32}))
    with pytest.raises(UndefinedMethodError, match=rf"attention-rollout is not defined for .*{reason}.*grad-cam"):
        AttentionRollout().explain(classifier, [noise(32, 32)], [0])


def test_a_classifier_without_a_network_is_refused() -> None:
    with pytest.raises(UndefinedMethodError, match="Guess: it needs `module`"):
        AttentionRollout().explain(Guess(), [noise(8, 8)], [0])


def test_requests_that_do_not_fit_are_refused(vit: TransformersClassifier) -> None:
    with pytest.raises(DataError, match="1 images and 2 targets"):
        AttentionRollout().explain(vit, [noise(8, 8)], [0, 1])
    for target in (-1, 2):
        with pytest.raises(DataError, match=r"targets must lie in 0\.\.1"):
            AttentionRollout().explain(vit, [noise(8, 8)], [target])


def test_a_network_in_training_mode_is_refused(vit: TransformersClassifier) -> None:
    vit.module.train()
    with pytest.raises(PluginError, match="training mode"):
        AttentionRollout().explain(vit, [noise(8, 8)], [0])


@pytest.mark.parametrize(
    "parameters", [{"head_fusion": "sum"}, {"discard_ratio": 1.0}, {"discard_ratio": -0.1}, {"readout": "eos"}]
)
def test_parameters_out_of_range_are_refused(parameters: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(parameters))):
        AttentionRollout(**parameters)


def test_it_travels_as_class_and_parameters() -> None:
    other = pickle.loads(pickle.dumps(AttentionRollout("max", 0.2)))  # noqa: S301  (our own bytes)
    assert other.parameters() == {"head_fusion": "max", "discard_ratio": 0.2, "readout": "auto"}


@pytest.mark.parametrize(
    ("name", "readout", "lacks"), [("siglip", "cls", "no CLS token"), ("vit", "pooling", "no head")]
)
def test_a_missing_row_is_refused(name: str, readout: str, lacks: str) -> None:
    network = transformer(name)
    with pytest.raises(UndefinedMethodError, match=f'readout = "{readout}".*{type(network).__name__}.*{lacks}.*"auto"'):
        AttentionRollout(readout=readout).explain(wrapped(network), [noise(32, 32)], [0])


def test_another_row_than_the_heads_can_be_asked_for() -> None:
    network, image = transformer("siglip"), noise(32, 32)
    layers, _ = attentions(network, image)
    row = layers[3].mean(0)  # its pooling head, which its classifier does not read
    for layer in reversed(layers[:3]):
        row = row @ (layer.mean(0) + np.eye(16)) / 2
    (found,) = AttentionRollout(readout="pooling").explain(wrapped(network), [image], [0])
    np.testing.assert_allclose(found.grid, row.reshape(4, 4), atol=1e-5)
