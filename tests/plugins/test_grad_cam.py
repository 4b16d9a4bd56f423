"""Grad-CAM equals its definition in every family, lies where the image lies, and leaves the network as it was."""

from __future__ import annotations

import csv
import pickle
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import families
import numpy as np
import pytest
import torch
import transformers
from families import Queried, drawn, noise, pixels_of, wrapped
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from torch import nn

from xaiaug import TorchClassifier, load
from xaiaug.errors import ConfigError, DataError, PluginError, UndefinedMethodError
from xaiaug.interfaces import Context, Prepared
from xaiaug.plugins._logits import compute_logits
from xaiaug.plugins.classifiers.transformers import TransformersClassifier
from xaiaug.plugins.explainers._layers import find_layer
from xaiaug.plugins.explainers._layouts import Layout, infer_layout
from xaiaug.plugins.explainers.grad_cam import GradCam

SMALL = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32, "num_labels": 3}
VIT = {**SMALL, "image_size": 32, "patch_size": 8}
TEXT = {**SMALL, "vocab_size": 8, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
PYRAMID = {"hidden_sizes": [8, 16], "depths": [1, 2], "num_labels": 3}

# For each family: its config, the layer whose output is the map, and the tokens before those of the patches.
FAMILIES = {
    "vit": (transformers.ViTConfig(**VIT), "vit.layers.2.layernorm_before", 1),
    "deit": (
        transformers.DeiTConfig(**VIT, architectures=["DeiTForImageClassificationWithTeacher"]),
        "deit.layers.2.layernorm_before",
        2,
    ),
    "dinov2-registers": (
        transformers.Dinov2WithRegistersConfig(**VIT),
        "dinov2_with_registers.encoder.layer.2.norm1",
        5,
    ),
    "beit": (transformers.BeitConfig(**VIT), "beit.layers.2.layernorm_before", 1),
    "siglip": (
        transformers.SiglipConfig(text_config=TEXT, vision_config=VIT, num_labels=3),
        "vision_model.encoder.layers.2.layer_norm1",
        0,
    ),
    "clip": (
        transformers.CLIPConfig(text_config=TEXT, vision_config=VIT, num_labels=3),
        "vision_model.encoder.layers.2.layer_norm1",
        1,
    ),
    "swin": (
        transformers.SwinConfig(
            image_size=32, patch_size=4, embed_dim=8, depths=[1, 2], num_heads=[1, 2], window_size=4, num_labels=3
        ),
        "swin.layernorm",
        0,
    ),
    "resnet": (
        transformers.ResNetConfig(**PYRAMID, embedding_size=8, layer_type="basic"),
        "resnet.encoder.stages.1",
        None,
    ),
    "convnext": (transformers.ConvNextConfig(**PYRAMID, num_stages=2), "convnext.encoder.stages.1", None),
    "mobilenet": (
        transformers.MobileNetV2Config(depth_multiplier=0.1, image_size=64, num_labels=3),
        "mobilenet_v2.conv_1x1",
        None,
    ),
}


def family_network(name: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network = transformers.AutoModelForImageClassification.from_config(FAMILIES[name][0])
    # Convolutions keep their own start: their norms would blow other weights up.
    return normed(network) if FAMILIES[name][2] is None else drawn(network)


def normed(network: nn.Module) -> nn.Module:
    """The network with the batch norms of trained ones: at their start they let a map fade to nothing."""
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None
    with torch.no_grad():
        network.train()(pixels_of([noise(64, 64, seed) for seed in range(8)]))
    return network.eval()


@pytest.fixture(scope="session")
def networks() -> dict[str, nn.Module]:
    return {name: family_network(name) for name in FAMILIES}


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest, networks: dict[str, nn.Module]) -> tuple[str, TorchClassifier]:
    return request.param, wrapped(networks[request.param])


def edge(name: str) -> int:
    return 64 if name == "mobilenet" else 32


def by_definition(
    network: nn.Module, name: str, prefix: int | None, pixels: torch.Tensor, target: int, rows: int | None = None
) -> np.ndarray:
    """The paper's formula in plain numpy over gradients of the whole network: gh gw."""
    kept = []

    def keep(_: nn.Module, __: object, output: torch.Tensor) -> None:
        output.retain_grad()
        kept.append(output)

    hook = network.get_submodule(name).register_forward_hook(keep)
    answer = network(pixels, **({} if rows is None else {"interpolate_pos_encoding": True}))
    hook.remove()
    (answer if isinstance(answer, torch.Tensor) else answer.logits)[0, target].backward()
    network.zero_grad(set_to_none=True)
    features, gradients = (part[0].detach().double().numpy() for part in (kept[-1], kept[-1].grad))
    if prefix is not None:
        features, gradients = (
            np.moveaxis(part[prefix:], 1, 0).reshape(part.shape[1], rows or round(len(part[prefix:]) ** 0.5), -1)
            for part in (features, gradients)
        )
    return np.maximum((gradients.mean((1, 2))[:, None, None] * features).sum(0), 0)


# -- the definition


def test_it_is_the_papers_formula_in_every_family(family: tuple[str, TorchClassifier]) -> None:
    name, classifier = family
    image, explainer = noise(edge(name), edge(name)), GradCam()
    lit = 0
    for target in range(3):
        expected = by_definition(classifier.module, *FAMILIES[name][1:], pixels_of([image]), target)
        (found,) = explainer.explain(classifier, [image], [target])
        np.testing.assert_allclose(found.grid, expected, atol=1e-5 * expected.max())
        assert found.grid.dtype == found.heatmap.dtype == np.float32
        assert (found.method, found.target, found.class_specific) == ("grad-cam", target, True)
        assert found.heatmap.shape == (edge(name), edge(name))
        lit += not found.degenerate
    assert lit


@pytest.mark.parametrize("name", ["resnet", "mobilenet"])
def test_it_is_captums_own_where_captum_has_it(name: str, networks: dict[str, nn.Module]) -> None:
    from captum.attr import LayerGradCam

    network, images = networks[name], [noise(64, 64, seed) for seed in range(3)]
    attribution = LayerGradCam(lambda pixels: network(pixels).logits, network.get_submodule(FAMILIES[name][1]))
    expected = attribution.attribute(pixels_of(images), [0, 2, 1], relu_attributions=True)[:, 0].detach().numpy()
    found = GradCam().explain(wrapped(network), images, [0, 2, 1])
    np.testing.assert_allclose([each.grid for each in found], expected, atol=1e-5 * expected.max())


@pytest.mark.parametrize(("name", "rows"), [("vit", 4), ("siglip", 4), ("swin", 4), ("resnet", None)])
def test_oblong_images_have_oblong_grids(name: str, rows: int | None, networks: dict[str, nn.Module]) -> None:
    image, interpolated = noise(64, 32), rows if name == "vit" else None
    (found,) = GradCam().explain(wrapped(networks[name]), [image], [1])
    assert found.grid.shape == (4, 8)
    assert found.heatmap.shape == (32, 64)
    if name in ("vit", "resnet"):
        expected = by_definition(networks[name], *FAMILIES[name][1:], pixels_of([image]), 1, interpolated)
        np.testing.assert_allclose(found.grid, expected, atol=1e-5 * expected.max())


def test_low_precision_networks_are_weighed_in_float32(networks: dict[str, nn.Module]) -> None:
    classifier, images = wrapped(networks["resnet"]), [noise(64, 64)]
    (exact,) = GradCam().explain(classifier, images, [0])
    with torch.autocast("cpu", torch.bfloat16):
        (found,) = GradCam().explain(classifier, images, [0])
    assert found.grid.dtype == np.float32
    np.testing.assert_allclose(found.grid, exact.grid, atol=0.05 * exact.grid.max())
    # Sums in bfloat16 would leave the low half of every number empty.
    assert (found.grid.view(np.uint32) & 0xFFFF).any()


def test_it_works_inside_inference_mode_and_without_gradients(networks: dict[str, nn.Module]) -> None:
    classifier, images = wrapped(networks["vit"]), [noise(32, 32)]
    (expected,) = GradCam().explain(classifier, images, [2])
    for mode in (torch.inference_mode(), torch.no_grad()):
        with mode:
            (found,) = GradCam().explain(classifier, images, [2])
        np.testing.assert_array_equal(found.grid, expected.grid)


# -- batches


def test_a_batch_is_the_stack_of_its_images(family: tuple[str, TorchClassifier]) -> None:
    name, classifier = family
    images = [noise(edge(name), edge(name), seed) for seed in range(5)]
    targets = [0, 1, 2, 1, 0]
    explainer = GradCam()
    explainer.batch_size = 3
    together = explainer.explain(classifier, images, targets)
    peak = max(found.grid.max() for found in together)
    for image, target, found in zip(images, targets, together, strict=True):
        (single,) = explainer.explain(classifier, [image], [target])
        assert found.target == target
        # Convolutions sum in another order for another number of images.
        np.testing.assert_allclose(found.grid, single.grid, atol=5e-5 * peak)


@pytest.mark.parametrize("name", ["resnet", "swin"])
def test_images_may_differ_in_size_and_shape(name: str, networks: dict[str, nn.Module]) -> None:
    images = [noise(width, height) for width, height in ((64, 32), (32, 64), (64, 32), (96, 48))]
    found = GradCam().explain(wrapped(networks[name]), images, [0] * 4)
    assert [each.grid.shape for each in found] == [(4, 8), (8, 4), (4, 8), (6, 12)]
    assert [each.heatmap.shape for each in found] == [(32, 64), (64, 32), (32, 64), (48, 96)]


def test_no_images_are_refused(networks: dict[str, nn.Module]) -> None:
    with pytest.raises(DataError, match="grad-cam: got no images to explain ViTForImageClassification"):
        GradCam().explain(wrapped(networks["vit"]), [], [])


# -- a patch lights its place


class SeesLight(nn.Module):
    """Made by hand: bright speaks for the first class and against the second, cell by cell of four pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Conv2d(3, 2, 4, 4)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(2, 2, bias=False)
        self.look.weight.data.fill_(1 / 48)
        self.look.weight.data[1] *= -1
        self.look.bias.data.zero_()
        self.head.weight.data = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(self.relu(self.look(pixels)).mean((2, 3)))
        return found


def middle(images: Sequence[Image.Image]) -> Prepared:
    """The middle square of each image, as 32 by 32 pixels."""
    boxes = []
    for image in images:
        side, (width, height) = min(image.size), image.size
        x, y = (width - side) // 2, (height - side) // 2
        boxes.append((x, y, x + side, y + side))
    cut = [image.resize((32, 32), Image.Resampling.BOX, box) for image, box in zip(images, boxes, strict=True)]
    return Prepared(pixels_of(cut), torch.tensor(boxes, dtype=torch.float32))


def spotted(size: tuple[int, int], spot: tuple[int, int]) -> Image.Image:
    image = Image.new("RGB", size)
    ImageDraw.Draw(image).rectangle((spot[0] - 3, spot[1] - 3, spot[0] + 2, spot[1] + 2), fill="white")
    return image


@pytest.mark.parametrize(
    ("size", "spot"), [((288, 96), (102, 6)), ((288, 96), (186, 90)), ((96, 288), (6, 102)), ((96, 96), (54, 90))]
)
def test_a_bright_spot_lights_its_own_place(size: tuple[int, int], spot: tuple[int, int]) -> None:
    classifier = TorchClassifier(SeesLight().eval(), middle, ("light", "dark"))
    image = spotted(size, spot)
    bright, dark = GradCam().explain(classifier, [image, image], [0, 1])
    rows, columns = np.nonzero(bright.heatmap > 0.8 * np.nanmax(bright.heatmap))
    assert bright.heatmap[spot[1], spot[0]] > 0.9 * np.nanmax(bright.heatmap) > 0
    # No further than the cell of 12 pixels that the spot lies in.
    assert np.abs(columns + 0.5 - spot[0]).max() <= 6
    assert np.abs(rows + 0.5 - spot[1]).max() <= 6
    assert np.isnan(bright.heatmap).mean() == pytest.approx(1 - 96 * 96 / (size[0] * size[1]))
    # Light speaks only against the other class.
    assert dark.degenerate


def test_values_are_raw_and_add_up_to_the_logit() -> None:
    classifier = TorchClassifier(SeesLight().eval(), middle, ("light", "dark"))
    image = noise(32, 32)
    (found,) = GradCam().explain(classifier, [image], [0])
    assert found.grid.shape == (8, 8)
    with torch.no_grad():
        assert found.grid.sum() == pytest.approx(float(classifier.module(pixels_of([image]))[0, 0]), rel=1e-5)


# -- layers with a name


class Homemade(nn.Module):
    """A transformer of a kind the library does not know: 32 pixels, 16 patches and a CLS token."""

    def __init__(self, order: Sequence[int] | None = None, attend_first: bool = True) -> None:
        super().__init__()
        self.patches, self.cls = nn.Conv2d(3, 8, 8, 8), nn.Parameter(torch.zeros(1, 1, 8))
        self.before, self.attention = nn.LayerNorm(8), nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 3)
        self.order = order

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(pixels).flatten(2).transpose(1, 2)
        if self.order:
            tokens = tokens[:, list(self.order)]
        tokens = torch.cat([self.cls.expand(len(pixels), -1, -1), tokens], 1)
        read = self.before(tokens)
        tokens = tokens + self.attention(read, read, read, need_weights=False)[0]
        return self.head(self.norm(tokens)[:, 0])


def test_an_unknown_transformer_is_explained_at_the_layer_that_is_named() -> None:
    network, image = drawn(Homemade()), noise(32, 32)
    for target in range(3):
        expected = by_definition(network, "before", 1, pixels_of([image]), target)
        (found,) = GradCam(layer="before").explain(wrapped(network), [image], [target])
        np.testing.assert_allclose(found.grid, expected, atol=1e-5)


def test_an_unknown_transformer_is_explained_where_its_patches_are_read_last() -> None:
    # Its last norm would give nothing but zeros: only the CLS token is read there; the first one is passed by.
    network, image = drawn(Homemade()), noise(32, 32)
    expected = by_definition(network, "patches", None, pixels_of([image]), 1)
    (found,) = GradCam().explain(wrapped(network), [image], [1])
    np.testing.assert_allclose(found.grid, expected, atol=1e-5)


def test_patches_that_learned_queries_read_are_no_late_map() -> None:
    with pytest.raises(UndefinedMethodError, match="Queried without layer=.*such as 'patches', or use occlusion"):
        GradCam().explain(wrapped(drawn(Queried())), [noise(32, 32)], [0])
    (found,) = GradCam("patches").explain(wrapped(drawn(Queried())), [noise(32, 32)], [0])
    assert found.grid.shape == (8, 8)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("befor", "no layer 'befor'. Did you mean 'before'\\?.*hold a map: 'before'"),
        ("norm", "layer 'norm'.*holds no map"),
        ("head", "layer 'head'.*holds no map.*such as 'before'"),
    ],
)
def test_layers_without_a_map_are_refused(layer: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GradCam(layer).explain(wrapped(drawn(Homemade())), [noise(32, 32)], [0])


@pytest.mark.parametrize(
    "order", [[1, 0, *range(2, 16)][::-1], [4, 5, 6, 7, 0, 1, 2, 3, *range(8, 16)], [*range(8), *range(15, 7, -1)]]
)
def test_tokens_in_another_order_are_noticed(order: list[int]) -> None:
    with pytest.raises(UndefinedMethodError, match="row-major order"):
        GradCam("before").explain(wrapped(drawn(Homemade(order))), [noise(32, 32)], [0])


def test_tokens_of_a_mirrored_image_are_turned_back() -> None:
    image = noise(32, 32)
    (expected,) = GradCam("before").explain(wrapped(drawn(Homemade())), [image], [1])
    (found,) = GradCam("before").explain(wrapped(drawn(Homemade(range(15, -1, -1)))), [image], [1])
    np.testing.assert_allclose(found.grid, expected.grid, atol=1e-5)


def test_any_layer_of_a_network_can_be_named(networks: dict[str, nn.Module]) -> None:
    network, image = networks["resnet"], noise(64, 64)
    (found,) = GradCam("resnet.encoder.stages.0").explain(wrapped(network), [image], [0])
    expected = by_definition(network, "resnet.encoder.stages.0", None, pixels_of([image]), 0)
    np.testing.assert_allclose(found.grid, expected, atol=1e-5)


class ChannelsLast(nn.Module):
    """A network whose maps have their channels last, and whose activation is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.look, self.relu = nn.Conv2d(3, 8, 8, 8), nn.GELU()
        self.mix, self.norm, self.head = nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        maps = self.relu(self.look(pixels)).permute(0, 2, 3, 1)
        return self.head(self.norm(self.relu(self.mix(maps))).mean((1, 2)))


@pytest.mark.parametrize("layer", [None, "norm", "relu"])
def test_maps_with_their_channels_last_are_turned(layer: str | None) -> None:
    network, image = drawn(ChannelsLast()), noise(48, 32)
    kept: list[torch.Tensor] = []

    def keep(_: nn.Module, __: object, output: torch.Tensor) -> None:
        output.retain_grad()
        kept.append(output)

    hook = network.get_submodule(layer or "norm").register_forward_hook(keep)
    network(pixels_of([image]))[0, 1].backward()
    hook.remove()
    features, gradients = kept[-1].detach()[0], kept[-1].grad[0]
    (found,) = GradCam(layer).explain(wrapped(network), [image], [1])
    np.testing.assert_allclose(found.grid, (gradients.mean((0, 1)) * features).sum(-1).relu(), atol=1e-5)


# -- layouts


@given(st.integers(1, 3), st.integers(1, 4), st.integers(2, 9), st.integers(2, 9), st.integers(0, 5))
def test_every_layout_gives_back_what_it_took(n: int, c: int, h: int, w: int, prefix: int) -> None:
    for kind, shape in {"map": (n, c, h, w), "channels-last": (n, h, w, c), "tokens": (n, prefix + h * w, c)}.items():
        layout, output = Layout(kind, (h, w), prefix if kind == "tokens" else 0), torch.randn(shape)
        assert layout.to_map(output).shape == (n, c, h, w)
        torch.testing.assert_close(layout.to_output(layout.to_map(output), output), output, rtol=0, atol=0)


@given(st.integers(2, 30), st.integers(2, 30), st.integers(0, 3), st.integers(0, 3))
def test_tokens_lie_as_their_convolution_left_them(h: int, w: int, merges: int, prefix: int) -> None:
    # Tokens before those of the patches stand where nothing is merged.
    prefix = prefix if merges == 0 else 0
    rows, columns = -(-h // 2**merges), -(-w // 2**merges)
    found = infer_layout(torch.Size((1, rows * columns + prefix, 4)), torch.Size((1, 3, 8 * h, 8 * w)), [(h, w)])
    assert found == (Layout("tokens", (rows, columns), prefix) if min(rows, columns) > 1 else None)


@pytest.mark.parametrize(("patch", "prefix"), [(8, 0), (14, 1), (16, 5), (32, 2)])
def test_without_a_convolution_they_lie_as_even_patches(patch: int, prefix: int) -> None:
    found = infer_layout(torch.Size((2, 35 + prefix, 4)), torch.Size((2, 3, 5 * patch, 7 * patch)), [])
    assert found == Layout("tokens", (5, 7), prefix)


# -- no trace


def state(module: nn.Module) -> list[object]:
    hooks = [
        len(part._forward_hooks) + len(part._forward_pre_hooks) + len(part._backward_hooks) for part in module.modules()
    ]
    ways = [part.config._attn_implementation for part in module.modules() if hasattr(part, "config")]
    parameters = [(parameter.requires_grad, parameter.grad) for parameter in module.parameters()]
    return [hooks, ways, parameters, [part.training for part in module.modules()], torch.is_grad_enabled()]


def test_the_network_is_left_as_it_was_and_answers_as_before(family: tuple[str, TorchClassifier]) -> None:
    name, classifier = family
    images = [noise(edge(name), edge(name))]
    some = next(iter(classifier.module.parameters()))
    some.requires_grad_(False)
    before, expected = state(classifier.module), classifier.predict_proba(images)
    GradCam().explain(classifier, images, [0])
    assert state(classifier.module) == before
    np.testing.assert_array_equal(classifier.predict_proba(images), expected)
    some.requires_grad_()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("looked", [False, True])
def test_it_is_left_as_it_was_when_the_forward_fails(
    networks: dict[str, nn.Module], monkeypatch: pytest.MonkeyPatch, error: type[BaseException], looked: bool
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error("in the middle")

    classifier, images, explainer = wrapped(networks["vit"]), [noise(32, 32)], GradCam()
    if looked:  # The layer is known: it fails behind the tap, no more while looking for it.
        explainer.explain(classifier, images, [0])
    before, expected = state(classifier.module), classifier.predict_proba(images)
    with monkeypatch.context() as patch:
        patch.setattr(classifier.module.classifier, "forward", fail)
        with pytest.raises(error, match="in the middle"):
            explainer.explain(classifier, images, [0])
    assert state(classifier.module) == before
    np.testing.assert_array_equal(classifier.predict_proba(images), expected)
    assert len(explainer.explain(classifier, images, [0])) == 1


def test_the_network_is_probed_once_and_nothing_is_kept_of_earlier_layers(
    networks: dict[str, nn.Module],
) -> None:
    network, explainer, images = networks["vit"], GradCam(), [noise(32, 32)]
    grads: list[bool] = []
    before = network.vit.layers[1].register_forward_hook(lambda _, __, output: grads.append(output.requires_grad))
    behind = network.vit.layers[2].register_forward_hook(lambda _, __, output: grads.append(output.requires_grad))
    for _ in range(2):
        explainer.explain(wrapped(network), images, [0])
    before.remove()
    behind.remove()
    # One pass with gradients to find the layer, some without to find its cells, and one for each map.
    assert grads[:2] == [True, True]
    assert not any(grads[2:-4])
    assert grads[-4:] == [False, True, False, True]


def test_threads_explain_and_predict_side_by_side(networks: dict[str, nn.Module]) -> None:
    classifier, images = wrapped(networks["vit"]), [noise(32, 32, seed) for seed in range(4)]
    explainer, targets = GradCam(), [0, 1, 2, 0]
    maps = [found.grid for found in explainer.explain(classifier, images, targets)]
    predictions = classifier.predict_proba(images)
    start = threading.Barrier(6)

    def work(number: int) -> bool:
        start.wait()
        if number % 2:
            found = [classifier.predict_proba(images) for _ in range(8)]
            return all(np.allclose(each, predictions, atol=1e-6) for each in found)
        own = explainer if number else GradCam()
        again = [own.explain(classifier, images, targets) for _ in range(4)]
        return all(np.allclose(a.grid, b, atol=1e-5) for each in again for a, b in zip(each, maps, strict=True))

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, range(6))) == [True] * 6
    assert not any(part._forward_hooks for part in classifier.module.modules())


# -- what it refuses


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.ReLU(), nn.Linear(8, 3)),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3)),
    ],
)
def test_a_network_without_a_map_of_the_image_is_refused(network: nn.Module) -> None:
    with pytest.raises(UndefinedMethodError, match="grad-cam is not defined for Sequential.*or integrated-gradients"):
        GradCam().explain(wrapped(network), [noise(8, 8)], [0])


def test_requests_that_do_not_fit_are_refused(networks: dict[str, nn.Module]) -> None:
    classifier = wrapped(networks["resnet"])
    with pytest.raises(DataError, match="grad-cam: .*1 images and 2 targets"):
        GradCam().explain(classifier, [noise(8, 8)], [0, 1])
    for target in (-1, 3):
        with pytest.raises(DataError, match=r"targets must lie in 0\.\.2"):
            GradCam().explain(classifier, [noise(8, 8)], [target])


def test_a_network_in_training_mode_is_refused() -> None:
    classifier = wrapped(SeesLight(), ("a", "b"))
    classifier.module.train()
    with pytest.raises(PluginError, match="training mode"):
        GradCam().explain(classifier, [noise(8, 8)], [0])


def test_its_module_loads_neither_captum_nor_torch() -> None:
    code = "import sys, xaiaug.plugins.explainers.grad_cam; print({'captum', 'matplotlib', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout.strip() == b"set()"


def test_it_is_found_by_its_name_and_travels_as_class_and_parameters() -> None:
    explainer = load("explainer", "grad-cam", layer="before")
    other = pickle.loads(pickle.dumps(explainer))  # noqa: S301  (our own bytes)
    assert isinstance(other, GradCam)
    assert other.parameters() == {"layer": "before"}


# -- a real network on photographs

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def pets() -> Callable[[int], list[tuple[Image.Image, np.ndarray, int]]]:
    """The first photographs of pets, spread evenly, with their masks and labels."""
    folder = DATA / "pets-with-masks"
    if not folder.is_dir() or not (DATA / "weights" / "mobilenet-v2-035-cats-dogs").is_dir():
        pytest.skip("needs the shared photographs with masks and the pretrained MobileNetV2")
    with (folder / "manifest.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    def read(count: int) -> list[tuple[Image.Image, np.ndarray, int]]:
        chosen = rows[:: len(rows) // count][:count]
        return [
            (
                Image.open(folder / row["file"]).convert("RGB"),
                np.asarray(Image.open(folder / row["mask"])),
                ("cat", "dog").index(row["label"]),
            )
            for row in chosen
        ]

    return read


def test_on_photographs_it_falls_on_the_animal(pets: Callable[[int], list]) -> None:
    classifier = TransformersClassifier(str(DATA / "weights" / "mobilenet-v2-035-cats-dogs"))
    classifier.prepare(Context(device="cpu"))
    images, masks, labels = zip(*pets(24), strict=True)
    energy, chance = [], []
    for found, mask in zip(GradCam().explain(classifier, images, labels), masks, strict=True):
        seen = np.isfinite(found.heatmap) & (mask != 2)
        assert found.grid.shape == (7, 7)
        if not found.degenerate:
            energy.append(found.heatmap[seen & (mask == 1)].sum() / found.heatmap[seen].sum())
            chance.append((mask[seen] == 1).mean())
    assert len(energy) > 18
    # A map at random has as much of its energy on the animal as the animal has of the picture.
    assert np.mean(energy) > np.mean(chance) + 0.1


def test_the_layer_of_the_real_network_is_its_last_map() -> None:
    if not (DATA / "weights" / "mobilenet-v2-035-cats-dogs").is_dir():
        pytest.skip("needs the shared pretrained MobileNetV2")
    classifier = TransformersClassifier(str(DATA / "weights" / "mobilenet-v2-035-cats-dogs"))
    classifier.prepare(Context(device="cpu"))
    found = find_layer("grad-cam", classifier.module, classifier.preprocess([noise(300, 224)]).pixels)
    assert (found.name, found.calls) == ("mobilenet_v2.conv_1x1", {0: Layout("map", (7, 7))})


# -- every family, at other sizes too


@pytest.mark.parametrize("name", families.TRANSFORMERS)
@pytest.mark.parametrize(("width", "height"), [(32, 32), (64, 32)])
def test_vision_transformers_are_explained_at_the_first_norm_of_their_last_block(
    name: str, width: int, height: int
) -> None:
    if name == "siglip-pooled" and width != height:
        pytest.skip("its wrapper does not have positions interpolated")
    network, image = families.transformer(name), noise(width, height)
    classifier, pixels = wrapped(network), pixels_of([image])
    layer, explainer = find_layer("grad-cam", network, pixels), GradCam()
    (layout,) = layer.calls.values()
    assert (layout.prefix, layout.grid) == (families.TRANSFORMERS[name][1], (4, width // 8))
    norms = [part for part, kind in network.named_modules() if type(kind).__name__.endswith("Norm")]
    (block,) = [part for part in norms if re.search(r"\.2\.(layernorm_before|norm1|layer_norm1)$", part)]
    assert layer.name == block
    for target in range(3):
        kept: list[torch.Tensor] = []
        hook = network.get_submodule(block).register_forward_hook(lambda _, __, output: kept.append(output))  # noqa: B023
        answer = compute_logits(network, pixels)[0, target]
        hook.remove()
        (gradient,) = torch.autograd.grad(answer, kept[0])
        cells = [part[0, layout.prefix :].detach().double().numpy() for part in (kept[0], gradient)]
        expected = np.maximum((cells[0] * cells[1].mean(0)).sum(1), 0).reshape(layout.grid)
        (found,) = explainer.explain(classifier, [image], [target])
        np.testing.assert_allclose(found.grid, expected, atol=1e-5 * expected.max())
