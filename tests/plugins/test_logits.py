"""Every family gives logits at other sizes than its own, and SigLIP 2 those of its own processor's patches."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from families import TRANSFORMERS, noise, pixels_of, transformer
from torch import nn

from xaiaug import load
from xaiaug.errors import ConfigError, PluginError
from xaiaug.plugins._logits import compute_logits


@pytest.mark.parametrize("name", [name for name in TRANSFORMERS if name != "siglip-pooled"])
def test_every_vision_transformer_answers_at_any_size(name: str) -> None:
    network = transformer(name)
    with torch.no_grad():
        assert compute_logits(network, pixels_of([noise(64, 40), noise(64, 40, 1)])).shape == (2, 3)


def test_clip_at_another_size_has_its_positions_interpolated() -> None:
    network, pixels = transformer("clip"), pixels_of([noise(48, 32)])
    with torch.no_grad():
        expected = network(pixels, interpolate_pos_encoding=True).logits
        torch.testing.assert_close(compute_logits(network, pixels), expected, rtol=0, atol=0)


def test_a_network_gets_no_argument_that_it_does_not_take() -> None:
    class Strict(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.config = transformers.ViTConfig(image_size=32)

        def forward(self, pixels: torch.Tensor, **named: object) -> torch.Tensor:
            assert not named
            return pixels.mean((2, 3))

    assert "interpolate_pos_encoding" not in inspect.signature(Strict().forward).parameters
    assert compute_logits(Strict(), torch.ones(1, 3, 8, 8)).tolist() == [[1, 1, 1]]


def test_siglip_2_gets_the_patches_that_its_own_processor_makes() -> None:
    network, image = transformer("siglip2"), noise(64, 32)
    processor = transformers.Siglip2ImageProcessorPil(patch_size=8, max_num_patches=32, do_normalize=False)
    given = processor([image], return_tensors="pt")
    assert given["spatial_shapes"].tolist() == [[4, 8]]
    with torch.no_grad():
        expected = network(**given).logits
        found = compute_logits(network, pixels_of([image]))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_clip_checkpoint_behind_a_larger_processor_predicts_embeds_and_is_explained(tmp_path: Path) -> None:
    transformer("clip").save_pretrained(tmp_path)
    processor = transformers.CLIPImageProcessorPil(size={"shortest_edge": 48}, crop_size={"height": 48, "width": 48})
    processor.save_pretrained(tmp_path)
    classifier = load("classifier", "transformers", checkpoint=str(tmp_path))
    images = [noise(64, 32), noise(50, 64)]
    assert classifier.predict_proba(images).shape == (2, 3)
    assert classifier.embed(images).shape == (2, 16)
    for name in ("attention-relevance", "attention-rollout", "attention-last", "grad-cam"):
        found = load("explainer", name).explain(classifier, images, [0, 2])
        assert [each.grid.shape for each in found] == [(6, 6), (6, 6)]
        assert [each.heatmap.shape for each in found] == [(32, 64), (64, 50)]
        # Of the first, 64 by 32, the middle square is seen.
        assert np.isnan(found[0].heatmap).any(0).nonzero()[0].tolist() == [*range(16), *range(48, 64)]


def test_patches_in_place_of_images_are_refused() -> None:
    with pytest.raises(ConfigError, match="Siglip2ForImageClassification.*TorchClassifier"):
        compute_logits(transformer("siglip2"), torch.rand(1, 16, 192))


@pytest.mark.parametrize(
    ("answer", "got"),
    [
        (lambda pixels: (pixels.mean((2, 3)),), "got tuple"),
        (lambda pixels: pixels.mean((1, 2, 3)), r"got shape \(2,\)"),
    ],
)
def test_an_output_without_logits_is_refused(answer: Callable, got: str) -> None:
    class Other(nn.Module):
        def forward(self, pixels: torch.Tensor) -> object:
            return answer(pixels)

    with pytest.raises(PluginError, match=f"Other must return logits n k.*{got}"):
        compute_logits(Other(), torch.ones(2, 3, 8, 8))
