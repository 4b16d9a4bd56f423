"""Relevance equals its definition over eager attentions and autograd, depends on the class, and leaves no trace."""

from __future__ import annotations

import gc
import pickle
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch
import transformers
from families import TRANSFORMERS, Headed, attentions, drawn, noise, pixels_of, read, transformer, wrapped
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from torch import nn

from xaiaug import TorchClassifier, load
from xaiaug.errors import ConfigError, DataError, PluginError, UndefinedMethodError
from xaiaug.interfaces import Prepared
from xaiaug.plugins.explainers import _attention
from xaiaug.plugins.explainers._aggregation import Relevance
from xaiaug.plugins.explainers.attention_relevance import AttentionRelevance
from xaiaug.plugins.explainers.attention_rollout import AttentionRollout


def by_definition(network: nn.Module, name: str, image: Image.Image, target: int) -> np.ndarray:
    """The whole matrix R, in plain numpy over eager attentions and their gradients: gh gw."""
    layers = [
        np.maximum(grad * weights, 0).mean(0) for weights, grad in zip(*attentions(network, image, target), strict=True)
    ]
    relevance = np.eye(layers[0].shape[-1])
    for layer in layers[:3]:
        relevance = relevance + layer @ relevance
    return read(relevance, name, layers[-1][0])


@pytest.fixture(scope="module")
def networks() -> dict[str, nn.Module]:
    return {name: transformer(name) for name in TRANSFORMERS}


# -- the definition


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_it_is_the_papers_matrix_in_every_family(name: str, networks: dict[str, nn.Module]) -> None:
    network, image = networks[name], noise(32, 32)
    found = AttentionRelevance().explain(wrapped(network), [image] * 3, [0, 1, 2])
    for target, each in enumerate(found):
        expected = by_definition(network, name, image, target)
        np.testing.assert_allclose(each.grid, expected, atol=1e-5 * expected.max())
        assert (each.method, each.target, each.class_specific) == ("attention-relevance", target, True)
        assert each.grid.dtype == each.heatmap.dtype == np.float32
    assert not all(each.degenerate for each in found)
    assert np.ptp([each.grid for each in found], axis=0).max() > 0


@pytest.mark.parametrize("name", ["vit", "beit", "siglip", "siglip2", "clip", "dinov3"])
def test_oblong_images_have_oblong_grids(name: str, networks: dict[str, nn.Module]) -> None:
    network, image = networks[name], noise(64, 32)
    expected = by_definition(network, name, image, 1)
    (found,) = AttentionRelevance().explain(wrapped(network), [image], [1])
    assert (found.grid.shape, found.heatmap.shape) == ((4, 8), (32, 64))
    np.testing.assert_allclose(found.grid, expected, atol=1e-5 * expected.max())


@settings(max_examples=25)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(2, 7), st.integers(0, 2**31))
def test_the_row_kept_on_the_way_back_is_that_of_the_matrix(
    layers: int, batch: int, heads: int, n: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn((layers, batch, heads, n, n), generator=generator)
    start, values = torch.rand(n, generator=generator), torch.randn((batch, heads, n, 2), generator=generator)

    def weigh(layer: torch.Tensor, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        return (layer + query @ key.mT).softmax(-1)

    def attended(see: Relevance | None) -> tuple[torch.Tensor, list[torch.Tensor]]:
        found, mixed = [], values
        for layer in scores:
            if see is not None:
                mixed = mixed + see.attend(partial(weigh, layer), mixed, mixed, mixed, pooling=False)
                continue
            weights = weigh(layer, mixed, mixed)
            found.append(weights)
            mixed = mixed + weights @ mixed
        return (mixed**2).sum(), found

    with torch.no_grad():
        relevance = Relevance(start)
        assert relevance.backpropagate(attended(relevance)[0])
    scores.requires_grad_()
    total, maps = attended(None)
    matrix = torch.eye(n).expand(batch, n, n)
    for weights, gradient in zip(maps, torch.autograd.grad(total, maps), strict=True):
        matrix = matrix + (weights * gradient).clamp(min=0).mean(1) @ matrix
    torch.testing.assert_close(relevance.row, start @ matrix.detach(), atol=1e-4, rtol=1e-4)


def test_attention_that_does_not_matter_has_no_relevance(networks: dict[str, nn.Module]) -> None:
    network = transformer("vit")
    for part in network.modules():
        if hasattr(part, "v_proj"):
            part.v_proj.weight.data.zero_()
            part.v_proj.bias.data.zero_()
    (found,) = AttentionRelevance().explain(wrapped(network), [noise(32, 32)], [0])
    assert found.degenerate
    assert not found.grid.any()


def test_low_precision_networks_are_followed_in_float32(networks: dict[str, nn.Module]) -> None:
    classifier, images = wrapped(networks["vit"]), [noise(32, 32)]
    (exact,) = AttentionRelevance().explain(classifier, images, [0])
    with torch.autocast("cpu", torch.bfloat16):
        (found,) = AttentionRelevance().explain(classifier, images, [0])
    assert found.grid.dtype == np.float32
    np.testing.assert_allclose(found.grid, exact.grid, atol=0.15 * exact.grid.max())
    assert (found.grid.view(np.uint32) & 0xFFFF).any()


def test_it_works_inside_inference_mode_and_without_gradients(networks: dict[str, nn.Module]) -> None:
    classifier, images = wrapped(networks["vit"]), [noise(32, 32)]
    (expected,) = AttentionRelevance().explain(classifier, images, [2])
    for mode in (torch.inference_mode(), torch.no_grad()):
        with mode:
            (found,) = AttentionRelevance().explain(classifier, images, [2])
            assert not torch.is_grad_enabled()
        np.testing.assert_array_equal(found.grid, expected.grid)


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_batch_is_the_stack_of_its_images(name: str, networks: dict[str, nn.Module]) -> None:
    classifier, targets = wrapped(networks[name]), [0, 1, 2, 1, 0]
    images, explainer = [noise(32, 32, seed) for seed in range(5)], AttentionRelevance()
    explainer.batch_size = 3
    together = explainer.explain(classifier, images, targets)
    for image, target, found in zip(images, targets, together, strict=True):
        (single,) = explainer.explain(classifier, [image], [target])
        np.testing.assert_allclose(found.grid, single.grid, atol=1e-5 * single.grid.max())


def test_images_may_differ_in_size_and_shape(networks: dict[str, nn.Module]) -> None:
    images = [noise(width, height) for width, height in ((64, 32), (32, 64), (64, 32), (52, 40))]
    found = AttentionRelevance().explain(wrapped(networks["vit"]), images, [0] * 4)
    assert [each.grid.shape for each in found] == [(4, 8), (8, 4), (4, 8), (5, 6)]
    # Patches of 8 leave the last four of 52 columns over: they are not seen.
    assert np.isnan(found[3].heatmap).any(0).nonzero()[0].tolist() == [48, 49, 50, 51]


# -- placement


def middle(images: Sequence[Image.Image]) -> Prepared:
    """The middle square of each image, as 32 by 32 pixels."""
    boxes = []
    for image in images:
        side, (width, height) = min(image.size), image.size
        x, y = (width - side) // 2, (height - side) // 2
        boxes.append((x, y, x + side, y + side))
    cut = [image.resize((32, 32), Image.Resampling.BOX, box) for image, box in zip(images, boxes, strict=True)]
    return Prepared(pixels_of(cut), torch.tensor(boxes, dtype=torch.float32))


@pytest.fixture(scope="module")
def sees_light() -> nn.Module:
    """A ViT whose every token attends to bright patches, and whose first logit is what it finds there."""
    config = transformers.ViTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, image_size=32, patch_size=4
    )
    network = transformers.ViTForImageClassification(config).eval()
    for parameter in network.parameters():
        parameter.data.zero_()
    for norm in network.modules():
        if isinstance(norm, nn.LayerNorm):
            norm.weight.data.fill_(1)
    brightness = next(part for part in network.modules() if isinstance(part, nn.Conv2d))
    brightness.weight.data[0], brightness.weight.data[1] = 1, -1
    attention = next(part for part in network.modules() if hasattr(part, "k_proj"))
    attention.q_proj.bias.data[0] = 30
    attention.k_proj.weight.data[0, 0] = attention.v_proj.weight.data[0, 0] = attention.o_proj.weight.data[0, 0] = 1
    network.classifier.weight.data[0, 0], network.classifier.weight.data[1, 0] = 1, -1
    return network


@pytest.mark.parametrize(
    ("size", "spot"), [((288, 96), (102, 6)), ((288, 96), (186, 90)), ((96, 288), (6, 102)), ((96, 96), (54, 90))]
)
def test_a_bright_spot_lights_its_own_place(
    sees_light: nn.Module, size: tuple[int, int], spot: tuple[int, int]
) -> None:
    image = Image.new("RGB", size)
    ImageDraw.Draw(image).rectangle((spot[0] - 3, spot[1] - 3, spot[0] + 2, spot[1] + 2), fill="white")
    classifier = TorchClassifier(sees_light, middle, ("light", "dark"))
    bright, dark = AttentionRelevance().explain(classifier, [image, image], [0, 1])
    rows, columns = np.nonzero(bright.heatmap > 0.8 * np.nanmax(bright.heatmap))
    assert bright.heatmap[spot[1], spot[0]] > 0.9 * np.nanmax(bright.heatmap) > 0
    # No further than the cell of 12 pixels that the spot lies in.
    assert np.abs(columns + 0.5 - spot[0]).max() <= 6
    assert np.abs(rows + 0.5 - spot[1]).max() <= 6
    assert np.isnan(bright.heatmap).mean() == pytest.approx(1 - 96 * 96 / (size[0] * size[1]))
    # Light speaks only against the other class.
    assert dark.heatmap[spot[1], spot[0]] < 0.01 * bright.heatmap[spot[1], spot[0]]


# -- no trace


def state(module: nn.Module) -> list[object]:
    hooks = [
        len(part._forward_hooks) + len(part._forward_pre_hooks) + len(part._backward_hooks) for part in module.modules()
    ]
    ways = [part.config._attn_implementation for part in module.modules() if hasattr(part, "config")]
    parameters = [(parameter.requires_grad, parameter.grad) for parameter in module.parameters()]
    attributes = [sorted(vars(part)) for part in module.modules()]
    return [hooks, ways, parameters, attributes, [part.training for part in module.modules()], torch.is_grad_enabled()]


@pytest.mark.parametrize("name", ["vit", "siglip-pooled"])
def test_the_network_is_left_as_it_was_and_answers_as_before(name: str, networks: dict[str, nn.Module]) -> None:
    classifier, images = wrapped(networks[name]), [noise(32, 32)]
    before, expected = state(classifier.module), classifier.predict_proba(images)
    AttentionRelevance().explain(classifier, images, [0])
    assert state(classifier.module) == before
    np.testing.assert_array_equal(classifier.predict_proba(images), expected)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("looked", [False, True])
@pytest.mark.parametrize("name", ["vit", "siglip-pooled"])
def test_it_is_left_as_it_was_when_the_forward_fails(
    name: str, monkeypatch: pytest.MonkeyPatch, error: type[BaseException], looked: bool
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error("in the middle")

    classifier, images, explainer = wrapped(transformer(name)), [noise(32, 32)], AttentionRelevance()
    if looked:  # The tokens are known: it fails while relevance is gathered, no more while looking for them.
        explainer.explain(classifier, images, [0])
    before, expected = state(classifier.module), classifier.predict_proba(images)
    head = classifier.module.classifier if name == "vit" else classifier.module.head
    with monkeypatch.context() as patch:
        patch.setattr(head, "forward", fail)
        with pytest.raises(error, match="in the middle"):
            explainer.explain(classifier, images, [0])
    assert state(classifier.module) == before
    np.testing.assert_array_equal(classifier.predict_proba(images), expected)
    assert len(explainer.explain(classifier, images, [0])) == 1


def test_nothing_of_a_pass_stays_in_memory(networks: dict[str, nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[weakref.ref] = []
    original = _attention._weigh

    def weigh(*given: object, **named: object) -> torch.Tensor:
        found = original(*given, **named)
        seen.append(weakref.ref(found))
        return found

    classifier, explainer = wrapped(networks["vit"]), AttentionRelevance()
    explainer.explain(classifier, [noise(32, 32)], [0])
    monkeypatch.setattr(_attention, "_weigh", weigh)
    gc.disable()
    try:
        explainer.explain(classifier, [noise(32, 32)], [0])
        assert len(seen) == 2 * 3, "each layer's map is computed forward and again on the way back"
        assert all(reference() is None for reference in seen)
    finally:
        gc.enable()


def test_threads_explain_and_predict_side_by_side(networks: dict[str, nn.Module]) -> None:
    classifier, images = wrapped(networks["siglip-pooled"]), [noise(32, 32, seed) for seed in range(4)]
    explainer, targets = AttentionRelevance(), [0, 1, 2, 0]
    maps = [found.grid for found in explainer.explain(classifier, images, targets)]
    predictions = classifier.predict_proba(images)
    start = threading.Barrier(6)

    def work(number: int) -> bool:
        start.wait()
        if number % 2:
            found = [classifier.predict_proba(images) for _ in range(8)]
            return all(np.allclose(each, predictions, atol=1e-6) for each in found)
        again = [explainer.explain(classifier, images, targets) for _ in range(4)]
        return all(np.allclose(a.grid, b, atol=1e-5) for each in again for a, b in zip(each, maps, strict=True))

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, range(6))) == [True] * 6
    assert not any(part._forward_hooks for part in classifier.module.modules())


# -- what it refuses


class Frozen(Headed):
    """A backbone that blocks gradients."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            read = self.body(pixels).pooler_output
        return self.head(read.detach())


def test_without_gradients_the_error_names_other_methods() -> None:
    network = drawn(Frozen(transformers.AutoModel.from_config(TRANSFORMERS["dinov3"][0])))
    with pytest.raises(
        UndefinedMethodError, match="attention-relevance is not defined for Frozen: gradients.*grad-cam"
    ):
        AttentionRelevance().explain(wrapped(network), [noise(32, 32)], [0])
    # Attention alone needs none.
    (found,) = AttentionRollout().explain(wrapped(network), [noise(32, 32)], [0])
    (expected,) = AttentionRollout().explain(wrapped(Headed(network.body)), [noise(32, 32)], [0])
    np.testing.assert_array_equal(found.grid, expected.grid)


def test_an_unread_pooling_head_has_no_relevance(networks: dict[str, nn.Module]) -> None:
    with pytest.raises(
        UndefinedMethodError, match="SiglipForImageClassification: its logits do not depend on its pool"
    ):
        AttentionRelevance("pooling").explain(wrapped(networks["siglip"]), [noise(32, 32)], [0])
    with pytest.raises(UndefinedMethodError, match='readout = "cls".*SiglipFor.*no CLS token; use readout = "auto"'):
        AttentionRelevance("cls").explain(wrapped(networks["siglip"]), [noise(32, 32)], [0])


def test_networks_without_global_attention_are_refused() -> None:
    config = transformers.SwinConfig(
        image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4, num_labels=3
    )
    network = transformers.SwinForImageClassification(config)
    with pytest.raises(
        UndefinedMethodError, match="attention-relevance is not defined for Swin.*windows.*use.*grad-cam"
    ):
        AttentionRelevance().explain(wrapped(network), [noise(32, 32)], [0])


def test_requests_that_do_not_fit_are_refused(networks: dict[str, nn.Module]) -> None:
    classifier = wrapped(networks["vit"])
    for images, targets, message in (
        ([noise(32, 32)], [0, 1], "1 images and 2 targets"),
        ([noise(32, 32)], [3], r"targets must lie in 0\.\.2, the labels of ViTForImageClassification, got 3"),
        ([noise(32, 32)], [-1], r"targets must lie in 0\.\.2"),
        ([], [], "no images to explain ViTForImageClassification"),
    ):
        with pytest.raises(DataError, match=f"attention-relevance: .*{message}"):
            AttentionRelevance().explain(classifier, images, targets)
    with pytest.raises(ConfigError, match="readout must be one of 'auto'"):
        AttentionRelevance("eos")


def test_a_part_in_training_mode_is_refused() -> None:
    classifier = wrapped(transformer("vit"))
    classifier.module.vit.layers[1].train()
    with pytest.raises(PluginError, match="attention-relevance: ViTForImageClassification is in training mode"):
        AttentionRelevance().explain(classifier, [noise(32, 32)], [0])


def test_it_is_found_by_its_name_and_travels_as_class_and_parameters() -> None:
    explainer = load("explainer", "attention-relevance", readout="mean")
    other = pickle.loads(pickle.dumps(explainer))  # noqa: S301  (our own bytes)
    assert isinstance(other, AttentionRelevance)
    assert other.parameters() == {"readout": "mean"}
