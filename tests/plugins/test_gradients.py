"""Gradients are right in any memory layout, and explaining leaves no graph, no hook and no raw error behind."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from families import noise, pixels_of, transformer, wrapped
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from xaiaug import load
from xaiaug.errors import PluginError, UndefinedMethodError
from xaiaug.interfaces import Context
from xaiaug.plugins.explainers._gradients import find_node, guard_gradients, reaches
from xaiaug.plugins.explainers.integrated_gradients import IntegratedGradients

METHODS = ("auto", "attention-relevance", "attention-rollout", "attention-last", "grad-cam", "integrated-gradients")
ORDERS = list(itertools.permutations(range(4)))


def laid_out(tensor: torch.Tensor, order: tuple[int, ...]) -> torch.Tensor:
    """The same values in another order in memory."""
    return tensor.permute(order).contiguous().permute([order.index(side) for side in range(4)])


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)),
    st.sampled_from(ORDERS),
    st.sampled_from(ORDERS),
    st.booleans(),
)
def test_batch_norms_have_right_gradients_in_any_layout(
    shape: tuple[int, ...], order: tuple[int, ...], other: tuple[int, ...], functional: bool
) -> None:
    norm = nn.BatchNorm2d(shape[1]).eval()
    generator = torch.Generator().manual_seed(0)
    norm.running_var.uniform_(0.5, 2, generator=generator)
    norm.weight.data = torch.randn(shape[1], generator=generator)
    pixels = laid_out(torch.randn(shape, generator=generator), order).requires_grad_()
    upstream = laid_out(torch.randn(shape, generator=generator), other)
    with guard_gradients(norm):
        output = (
            nn.functional.batch_norm(pixels, norm.running_mean, norm.running_var, norm.weight, norm.bias)
            if functional
            else norm(pixels)
        )
        (found,) = torch.autograd.grad(output, pixels, upstream)
    expected = upstream * (norm.weight / (norm.running_var + norm.eps).sqrt())[:, None, None]
    torch.testing.assert_close(found, expected.detach(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(nn.Linear(3, 4), (2, 3)), (nn.LayerNorm(3), (2, 3))],
    ids=lambda each: type(each).__name__,
)
def test_layers_keep_nothing_for_gradients_of_their_weights(layer: nn.Module, shape: tuple[int, ...]) -> None:
    read, upstream = torch.randn(shape, requires_grad=True), torch.randn(layer(torch.ones(shape)).shape)

    def differentiate() -> tuple[torch.Tensor, int]:
        kept: list[torch.Tensor] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda each: kept.append(each) or each, lambda each: each):
            output = layer(read)
        (gradient,) = torch.autograd.grad(output, read, upstream)
        return gradient, sum(each.untyped_storage().data_ptr() == read.untyped_storage().data_ptr() for each in kept)

    expected, kept = differentiate()
    with guard_gradients(layer):
        found, kept_guarded = differentiate()
        assert all(weight.requires_grad for weight in layer.parameters())
    torch.testing.assert_close(found, expected, atol=0, rtol=0)
    assert kept == 1
    assert kept_guarded == isinstance(layer, nn.LayerNorm)  # the gradient of its input needs it


class Stem(nn.Module):
    """Convolutions with batch norms, then tokens with a CLS token through torch's own transformer layer."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            norms = nn.BatchNorm2d(8), nn.BatchNorm2d(8)
            for norm in norms:
                norm.running_var.uniform_(0.5, 2)
                norm.weight.data.normal_()
            self.look = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), norms[0], nn.GELU(), nn.Conv2d(8, 8, 3, 2, 1), norms[1])
            self.cls = nn.Parameter(torch.randn(1, 1, 8))
            self.mix = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
            self.head = nn.Linear(8, 3)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        tokens = self.look(pixels).flatten(2).transpose(1, 2)
        return self.head(self.mix(torch.cat([self.cls.expand(len(tokens), -1, -1), tokens], 1))[:, 0])


def test_an_image_alone_has_the_map_that_it_has_in_a_batch_and_it_adds_up() -> None:
    classifier, image = wrapped(Stem()), noise(32, 32)
    explainer = IntegratedGradients(steps=64)
    (alone,), (paired, _) = (
        explainer.explain(classifier, [image], [1]),
        explainer.explain(classifier, [image] * 2, [1, 1]),
    )
    np.testing.assert_allclose(alone.grid, paired.grid, atol=1e-5 * np.abs(paired.grid).max())
    with torch.no_grad():
        change = classifier.module(pixels_of([image])) - classifier.module(torch.zeros(1, 3, 32, 32))
    assert alone.grid.sum() == pytest.approx(float(change[0, 1]), rel=0.02, abs=1e-3)
    assert alone.completeness_error == pytest.approx(alone.grid.sum() - float(change[0, 1]), abs=1e-4)


class Steep(nn.Module):
    """Logits that change between two steps alone."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        total = pixels.mean((1, 2, 3), keepdim=False)[:, None]
        return torch.cat([total + 9 * torch.tanh(1000 * (total - 0.1234)), -total], 1)


def test_a_sum_that_is_far_off_warns() -> None:
    classifier = wrapped(Steep(), ("a", "b"))
    with pytest.warns(UserWarning, match="integrated-gradients: .*logit of Steep is off by .* give more steps"):
        (found,) = IntegratedGradients(steps=3).explain(classifier, [noise(8, 8)], [0])
    assert found.completeness_error < -10
    (linear,) = IntegratedGradients(steps=3).explain(classifier, [noise(8, 8)], [1])
    assert linear.completeness_error == pytest.approx(0, abs=1e-5)


# -- predict, explain, copy and train in any order


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["beit", "siglip-pooled"])
def test_what_has_predicted_can_be_explained_as_what_has_not(name: str, method: str) -> None:
    images = [noise(32, 32), noise(32, 32, 1)]
    fresh, used = wrapped(transformer(name)), wrapped(transformer(name))
    before = used.predict_proba(images)
    expected = load("explainer", method).explain(fresh, images, [0, 2])
    for found, other in zip(load("explainer", method).explain(used, images, [0, 2]), expected, strict=True):
        np.testing.assert_array_equal(found.grid, other.grid)
    np.testing.assert_array_equal(used.predict_proba(images), before)
    used.module.zero_grad()
    used.module(pixels_of(images)) if name == "siglip-pooled" else used.module(
        pixels_of(images)
    ).logits.sum().backward()


def levit() -> nn.Module:
    config = transformers.LevitConfig(
        image_size=64,
        hidden_sizes=[16, 24, 32],
        num_attention_heads=[2, 2, 2],
        depths=[1, 1, 1],
        key_dim=[8, 8, 8],
        down_ops=[["Subsample", 8, 2, 4, 2, 2], ["Subsample", 8, 2, 4, 2, 2]],
        num_labels=3,
    )
    return transformers.LevitForImageClassification(config).eval()


@pytest.mark.parametrize("method", ["grad-cam", "integrated-gradients"])
def test_what_was_explained_can_be_copied(method: str) -> None:
    classifier, images = wrapped(levit()), [noise(64, 64)]
    load("explainer", method).explain(classifier, images, [0])
    other = copy.deepcopy(classifier.module)
    with torch.no_grad():
        torch.testing.assert_close(other(pixels_of(images)).logits, classifier.module(pixels_of(images)).logits)


def test_a_saved_beit_is_trained_after_it_predicted(tmp_path: Path, painted) -> None:
    from xaiaug.plugins.classifiers.transformers import TransformersClassifier
    from xaiaug.records import Recipe

    config = transformers.BeitConfig(
        **{"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32},
        image_size=32,
        patch_size=8,
        use_relative_position_bias=True,
        id2label={0: "cat", 1: "dog"},
        label2id={"cat": 0, "dog": 1},
    )
    transformers.BeitForImageClassification(config).save_pretrained(tmp_path)
    transformers.ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    classifier = TransformersClassifier(str(tmp_path))
    classifier.prepare(Context(labels=("cat", "dog"), device="cpu"))
    before = classifier.predict_proba([noise(32, 32)])
    classifier.fit(painted(4), painted(4), recipe=Recipe(steps=1, batch_size=2), seed=0)
    assert np.abs(classifier.predict_proba([noise(32, 32)]) - before).max() > 0


# -- the graph


def test_a_way_through_the_graph_ends_at_a_cut() -> None:
    start = torch.ones(2, requires_grad=True)
    middle = start * 2
    both = middle.exp() + start
    assert reaches(both.grad_fn, find_node(start))
    assert reaches(both.grad_fn, find_node(start), [find_node(middle)])
    assert not reaches(middle.exp().grad_fn, find_node(start), [find_node(middle)])
    assert not reaches(both.detach().grad_fn, find_node(start))


class Probe(nn.Module):
    """A head on a backbone that runs without gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.look, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 2)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            features = self.look(pixels).mean((2, 3))
        return self.head(features)


def test_a_probe_on_a_backbone_without_gradients_is_refused() -> None:
    with pytest.raises(UndefinedMethodError, match="integrated-gradients.*Probe: its logits have no gradients back"):
        IntegratedGradients(2).explain(wrapped(Probe(), ("a", "b")), [noise(8, 8)], [0])


class Failing(nn.Module):
    def __init__(self, message: str) -> None:
        super().__init__()
        self.look, self.message = nn.Conv2d(3, 2, 3), message

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        raise RuntimeError(self.message)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ("Inference tensors cannot be saved for backward.", "under torch.no_grad\\(\\) instead"),
        ("DefaultCPUAllocator: not enough memory: you tried", "smaller batch_size"),
        ("in the middle " + 99 * "of nowhere ", "predictions alone, occlusion or rise"),
    ],
)
def test_an_error_from_inside_names_method_and_network_and_a_way_out(method: str, message: str, advice: str) -> None:
    with pytest.raises(
        PluginError, match=rf"{method}: Failing failed while it was explained: RuntimeError: .*{advice}"
    ) as error:
        load("explainer", method).explain(wrapped(Failing(message), ("a", "b")), [noise(8, 8)], [0])
    assert len(str(error.value)) < 600
