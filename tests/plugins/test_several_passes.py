"""Networks that call a layer twice, or hold several networks: their maps add up, or an error says so."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from families import noise, pixels_of, transformer, wrapped
from torch import nn

from xaiaug import load
from xaiaug.errors import UndefinedMethodError
from xaiaug.plugins._logits import compute_logits
from xaiaug.plugins.explainers.grad_cam import GradCam

ATTENTION = ("attention-relevance", "attention-rollout", "attention-last")


class Convolutions(nn.Module):
    """Two convolutions, 8 by 8 cells of an image of 32 pixels, and a head on their mean."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.look = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.GELU(), nn.Conv2d(8, 8, 3, 2, 1))
            self.head = nn.Linear(8, 3)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.head(self.look(pixels).mean((2, 3)))


class Joined(nn.Module):
    """The mean logits of several passes."""

    def __init__(self, *passes: Callable[[torch.Tensor], torch.Tensor], **networks: nn.Module) -> None:
        super().__init__()
        self.networks, self.passes = nn.ModuleDict(networks), passes

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.stack([each(pixels) for each in self.passes]).mean(0)


def mirrored(network: nn.Module, side: int = 3) -> Joined:
    """Test-time augmentation: the image and its mirror image."""
    return Joined(
        lambda pixels: compute_logits(network, pixels),
        lambda pixels: compute_logits(network, pixels.flip(side)),
        network=network,
    )


def weigh(network: nn.Module, layer: nn.Module, pixels: torch.Tensor, target: int) -> np.ndarray:
    """Grad-CAM of one pass before its negative part is dropped, over the whole network's gradients: gh gw or n."""
    kept: list[torch.Tensor] = []
    hook = layer.register_forward_hook(lambda _, __, output: kept.append(output))
    logits = compute_logits(network, pixels.repeat(2, 1, 1, 1))
    hook.remove()
    (gradient,) = torch.autograd.grad(logits[0, target], kept[0])
    output = kept[0][0].detach()
    if output.ndim == 3:
        return (gradient[0].mean((1, 2), keepdim=True) * output).sum(0).numpy()
    cells = (gradient[0, 1:].mean(0) * output[1:]).sum(1)
    return cells.reshape(4, 4).numpy()


@pytest.mark.parametrize("side", [2, 3])
def test_the_maps_of_an_image_and_its_mirror_image_add_up(side: int) -> None:
    network, image = Convolutions(), noise(32, 32)
    pixels = pixels_of([image])
    plain = weigh(network, network.look, pixels, 1)
    turned = np.flip(weigh(network, network.look, pixels.flip(side), 1), side - 2)
    (found,) = GradCam().explain(wrapped(mirrored(network, side)), [image], [1])
    expected = np.maximum((plain + turned) / 2, 0)
    np.testing.assert_allclose(found.grid, expected, atol=1e-5 * expected.max())


def test_the_maps_of_a_transformer_add_up_at_the_first_norm_of_its_last_block() -> None:
    network, image = transformer("vit"), noise(32, 32)
    norm, pixels = network.vit.layers[2].layernorm_before, pixels_of([image])
    (found,) = GradCam().explain(wrapped(mirrored(network)), [image], [2])
    expected = weigh(network, norm, pixels, 2) + weigh(network, norm, pixels.flip(3), 2)[:, ::-1]
    expected = np.maximum(expected / 2, 0)
    np.testing.assert_allclose(found.grid, expected, atol=1e-5 * expected.max())


@pytest.mark.parametrize("method", ATTENTION)
def test_attention_of_two_passes_is_refused(method: str) -> None:
    with pytest.raises(UndefinedMethodError, match=f"{method} is not defined for Joined: .*(chain|other ways)"):
        load("explainer", method).explain(wrapped(mirrored(transformer("vit"))), [noise(32, 32)], [0])


@pytest.mark.parametrize("method", [*ATTENTION, "grad-cam"])
@pytest.mark.parametrize("kind", ["convolutions", "transformers", "both"])
def test_several_networks_side_by_side_are_refused(method: str, kind: str) -> None:
    one: nn.Module = transformer("vit") if kind != "convolutions" else Convolutions()
    other: nn.Module = transformer("deit") if kind == "transformers" else Convolutions(1)
    passes = [lambda pixels, each=each: compute_logits(each, pixels) for each in (one, other)]
    with pytest.raises(UndefinedMethodError, match="is not defined for Joined"):
        load("explainer", method).explain(wrapped(Joined(*passes, a=one, b=other)), [noise(32, 32)], [0])


def test_a_pass_that_does_not_see_the_image_does_not_count() -> None:
    network, image = Convolutions(), noise(32, 32)
    template = pixels_of([noise(32, 32, 5)])
    compared = Joined(network, lambda pixels: network(template.expand_as(pixels)), network=network)
    (found,) = GradCam().explain(wrapped(compared), [image], [0])
    expected = np.maximum(weigh(network, network.look, pixels_of([image]), 0) / 2, 0)
    np.testing.assert_allclose(found.grid, expected, atol=1e-5 * expected.max())


class TwoSizes(nn.Module):
    """One norm at two resolutions, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.norm = nn.Conv2d(3, 8, 4, 4), nn.LayerNorm(8)
        self.merge, self.head = nn.Conv2d(8, 8, 2, 2), nn.Linear(8, 3)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        tokens = self.norm(self.patches(pixels).flatten(2).transpose(1, 2))
        merged = self.merge(tokens.transpose(1, 2).unflatten(2, (8, 8)))
        return self.head(self.norm(merged.flatten(2).transpose(1, 2)).mean(1))


@pytest.mark.parametrize("layer", [None, "norm"])
def test_of_calls_in_a_row_the_last_counts(layer: str | None) -> None:
    (found,) = GradCam(layer).explain(wrapped(TwoSizes()), [noise(32, 32)], [0])
    assert found.grid.shape == (4, 4)


class TwoScales(nn.Module):
    """One convolution at two sizes of the image, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.head = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 3)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        sizes = pixels, nn.functional.avg_pool2d(pixels, 2)
        return self.head(sum(self.patches(each).mean((2, 3)) for each in sizes))


def test_calls_at_several_resolutions_do_not_add_up() -> None:
    with pytest.raises(UndefinedMethodError, match="TwoScales calls its layer 'patches' at several resolutions"):
        GradCam().explain(wrapped(TwoScales()), [noise(32, 32)], [0])
