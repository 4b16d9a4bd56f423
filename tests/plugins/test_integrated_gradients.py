"""Integrated gradients equal their definition and captum's own, add up to the logit, and leave no trace."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
import transformers
from families import TRANSFORMERS, noise, pixels_of, transformer, wrapped
from torch import nn

from xaiaug import Context
from xaiaug.errors import ConfigError, DataError, PluginError, RunStopped, UndefinedMethodError
from xaiaug.plugins._logits import compute_logits
from xaiaug.plugins.explainers.integrated_gradients import IntegratedGradients

CONVOLUTIONAL = {
    "resnet": transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], num_labels=3),
    "convnext": transformers.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2, num_labels=3),
    "mobilenet": transformers.MobileNetV2Config(depth_multiplier=0.1, image_size=32, num_labels=3),
    "swin": transformers.SwinConfig(
        image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4, num_labels=3
    ),
}


def network(name: str) -> nn.Module:
    if name in TRANSFORMERS:
        return transformer(name)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return transformers.AutoModelForImageClassification.from_config(CONVOLUTIONAL[name]).eval()


def by_definition(module: nn.Module, pixels: torch.Tensor, target: int, steps: int, baseline: float) -> np.ndarray:
    """The mean gradient over Gauss-Legendre points, weighted as they are, in plain numpy: h w."""
    points, weights = np.polynomial.legendre.leggauss(steps)
    total = np.zeros(pixels.shape[1:])
    for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
        between = (baseline + float(point) * (pixels - baseline)).requires_grad_()
        (gradient,) = torch.autograd.grad(compute_logits(module, between)[0, target], between)
        total += weight * gradient[0].double().numpy()
    return (total * (pixels[0].double().numpy() - baseline)).sum(0)


@pytest.mark.parametrize("name", [*TRANSFORMERS, *CONVOLUTIONAL])
def test_it_is_the_papers_integral_in_every_family(name: str) -> None:
    module, image = network(name), noise(32, 32)
    found = IntegratedGradients(steps=4, baseline=0.25).explain(wrapped(module), [image, image], [0, 2])
    for target, each in zip((0, 2), found, strict=True):
        expected = by_definition(module, pixels_of([image]), target, 4, 0.25)
        np.testing.assert_allclose(each.grid, expected, atol=1e-5 * np.abs(expected).max())
        assert (each.method, each.target, each.class_specific) == ("integrated-gradients", target, True)
        assert each.grid.dtype == each.heatmap.dtype == np.float32
        assert not each.degenerate


def test_it_is_captums_own() -> None:
    from captum.attr import IntegratedGradients as Attribution

    module, images = network("resnet"), [noise(48, 32, seed) for seed in range(3)]
    pixels = pixels_of(images).requires_grad_()
    attribution = Attribution(lambda given: module(given).logits)
    expected = attribution.attribute(pixels, 0.0, [0, 2, 1], n_steps=8).sum(1).detach().numpy()
    found = IntegratedGradients(steps=8).explain(wrapped(module), images, [0, 2, 1])
    np.testing.assert_allclose([each.grid for each in found], expected, atol=1e-5 * np.abs(expected).max())


def test_pixels_add_up_to_the_logit_less_that_of_the_blank_image() -> None:
    module, image = network("vit"), noise(32, 32)
    (found,) = IntegratedGradients(steps=256, baseline=0.5).explain(wrapped(module), [image], [1])
    with torch.no_grad():
        ends = [float(module(each).logits[0, 1]) for each in (torch.full((1, 3, 32, 32), 0.5), pixels_of([image]))]
    assert found.grid.sum() == pytest.approx(ends[1] - ends[0], rel=0.02, abs=0.02)


@pytest.mark.parametrize("steps", [1, 5])
def test_of_a_linear_network_it_is_weight_times_pixel(steps: int) -> None:
    module, image = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 6, 3)), noise(6, 8)
    weights = module[1].weight.detach()[2].reshape(3, 8, 6)
    (found,) = IntegratedGradients(steps).explain(wrapped(module), [image], [2])
    np.testing.assert_allclose(found.grid, (weights * pixels_of([image])[0]).sum(0), atol=1e-6)
    np.testing.assert_allclose(found.heatmap, found.grid, atol=1e-6)


def test_a_batch_is_the_stack_of_its_images_of_any_size() -> None:
    classifier = wrapped(network("convnext"))
    images = [noise(width, height) for width, height in ((64, 32), (32, 64), (64, 32), (48, 48), (48, 48))]
    explainer = IntegratedGradients(steps=4)
    explainer.batch_size = 2
    for image, found in zip(images, explainer.explain(classifier, images, [0, 1, 2, 1, 0]), strict=True):
        (single,) = explainer.explain(classifier, [image], [found.target])
        np.testing.assert_allclose(found.grid, single.grid, atol=5e-5 * np.abs(single.grid).max())
        assert found.heatmap.shape == (image.height, image.width)


@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt])
def test_the_network_is_left_as_it_was(error: type[BaseException] | None) -> None:
    module = network("vit")
    hook = None

    def fail(*_: object) -> None:
        raise error("in the middle")

    if error:
        hook = module.classifier.register_forward_hook(fail)
    before = [(parameter.requires_grad, parameter.grad) for parameter in module.parameters()]
    with torch.inference_mode():
        if error:
            with pytest.raises(error, match="in the middle"):
                IntegratedGradients(2).explain(wrapped(module), [noise(32, 32)], [0])
        else:
            IntegratedGradients(2).explain(wrapped(module), [noise(32, 32)], [0])
        assert torch.is_inference_mode_enabled()
    if hook:
        hook.remove()
    assert before == [(parameter.requires_grad, parameter.grad) for parameter in module.parameters()]
    assert not any(part._forward_hooks for part in module.modules())


class Closed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 3)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.head(pixels.mean((2, 3))).detach()


def test_what_it_cannot_do_it_refuses() -> None:
    with pytest.raises(UndefinedMethodError, match="integrated-gradients is not defined for Closed.*no gradients"):
        IntegratedGradients(2).explain(wrapped(Closed()), [noise(8, 8)], [0])
    with pytest.raises(DataError, match="integrated-gradients: got no images to explain Closed"):
        IntegratedGradients(2).explain(wrapped(Closed()), [], [])
    with pytest.raises(ConfigError, match="steps must be 1 or more, got 0"):
        IntegratedGradients(0)
    classifier = wrapped(Closed())
    classifier.module.train()
    with pytest.raises(PluginError, match="Closed is in training mode"):
        IntegratedGradients(2).explain(classifier, [noise(8, 8)], [0])


def test_its_module_loads_neither_captum_nor_torch() -> None:
    code = (
        "import sys, xaiaug.plugins.explainers.integrated_gradients;"
        " print({'captum', 'matplotlib', 'torch'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout.strip() == b"set()"


def test_a_run_that_is_asked_to_stop_waits_for_no_more_than_a_pass() -> None:
    passes: list[int] = []
    classifier, explainer = wrapped(network("resnet")), IntegratedGradients(steps=8)
    explainer.prepare(Context(stopping=lambda: len(passes) == 3))
    classifier.module.register_forward_hook(lambda *_: passes.append(1))
    with pytest.raises(RunStopped, match="integrated-gradients"):
        explainer.explain(classifier, [noise(32, 32)], [1])
    assert len(passes) == 3
