"""The attention of the last layer is the row that the head reads there, in every family."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from families import TRANSFORMERS, attentions, noise, pixels_of, read, transformer, wrapped

from xaiaug import load
from xaiaug.errors import ConfigError, DataError, UndefinedMethodError
from xaiaug.plugins.explainers._attention import record_attention
from xaiaug.plugins.explainers.attention_last import AttentionLast


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_it_is_the_heads_row_of_the_last_eager_map(name: str) -> None:
    network, image = transformer(name), noise(32, 32)
    layers = [layer.mean(0) for layer in attentions(network, image)[0]]
    expected = layers[3].reshape(4, 4) if name == "siglip-pooled" else read(layers[2], name)
    (found,) = AttentionLast().explain(wrapped(network), [image], [1])
    np.testing.assert_allclose(found.grid, expected, atol=1e-5)
    assert (found.method, found.target, found.class_specific) == ("attention-last", 1, False)
    assert found.grid.dtype == found.heatmap.dtype == np.float32


@pytest.mark.parametrize("fusion", ["mean", "max", "min"])
def test_every_fusion_is_its_definition(fusion: str) -> None:
    network, image = transformer("vit"), noise(32, 32)
    expected = read(getattr(np, fusion)(attentions(network, image)[0][2], axis=0), "vit")
    (found,) = AttentionLast(head_fusion=fusion).explain(wrapped(network), [image], [0])
    np.testing.assert_allclose(found.grid, expected, atol=1e-5)


def test_another_row_can_be_asked_for() -> None:
    network, image = transformer("dinov2"), noise(32, 32)
    expected = attentions(network, image)[0][2].mean(0)[1:, 1:].mean(0).reshape(4, 4)
    (found,) = AttentionLast(readout="mean").explain(wrapped(network), [image], [0])
    np.testing.assert_allclose(found.grid, expected, atol=1e-5)


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_batch_is_the_stack_of_its_images(name: str) -> None:
    classifier, images = wrapped(transformer(name)), [noise(32, 32, seed) for seed in range(5)]
    explainer = AttentionLast()
    explainer.batch_size = 3
    for image, found in zip(images, explainer.explain(classifier, images, [0] * 5), strict=True):
        np.testing.assert_allclose(found.grid, explainer.explain(classifier, [image], [0])[0].grid, atol=1e-6)


def test_only_the_last_map_is_kept() -> None:
    network = transformer("vit")
    with torch.inference_mode(), record_attention(network, last=True) as recording:
        network(pixels_of([noise(32, 32)]))
    assert len(recording.maps) == 1


def test_low_precision_keeps_float32() -> None:
    classifier, images = wrapped(transformer("vit")), [noise(32, 32)]
    (exact,) = AttentionLast().explain(classifier, images, [0])
    with torch.autocast("cpu", torch.bfloat16):
        (found,) = AttentionLast().explain(classifier, images, [0])
    np.testing.assert_allclose(found.grid, exact.grid, atol=0.05)
    # Sums in bfloat16 would leave the low half of every number empty.
    assert (found.grid.view(np.uint32) & 0xFFFF).any()


def test_what_it_cannot_do_it_refuses() -> None:
    import transformers

    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    network = transformers.ResNetForImageClassification(config)
    with pytest.raises(UndefinedMethodError, match="attention-last is not defined for ResNetFor.*use.*grad-cam"):
        AttentionLast().explain(wrapped(network, ("a", "b")), [noise(32, 32)], [0])
    with pytest.raises(UndefinedMethodError, match='attention-last: readout = "cls".*SiglipFor.*no CLS token'):
        AttentionLast(readout="cls").explain(wrapped(transformer("siglip")), [noise(32, 32)], [0])
    with pytest.raises(DataError, match="1 images and 0 targets"):
        AttentionLast().explain(wrapped(transformer("vit")), [noise(32, 32)], [])
    for wrong in ({"head_fusion": "sum"}, {"readout": "eos"}):
        with pytest.raises(ConfigError, match="attention-last: .* must be one of"):
            AttentionLast(**wrong)


def test_it_is_found_by_its_name() -> None:
    assert load("explainer", "attention-last", readout="cls").parameters() == {"head_fusion": "mean", "readout": "cls"}
