"""`auto` explains every network that it can, by the method that suits it, and names that method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from families import Queried
from PIL import Image
from torch import nn

from xaiaug import TorchClassifier
from xaiaug.errors import DataError
from xaiaug.interfaces import Context
from xaiaug.plugins.classifiers.transformers import TransformersClassifier
from xaiaug.plugins.explainers.attention_relevance import AttentionRelevance
from xaiaug.plugins.explainers.auto import AutoExplainer
from xaiaug.plugins.explainers.grad_cam import GradCam
from xaiaug.plugins.explainers.occlusion import Occlusion

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
VIT = {**SMALL, "image_size": 32, "patch_size": 8}
TEXT = {**SMALL, "vocab_size": 8, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
PYRAMID = {"hidden_sizes": [8, 16], "depths": [1, 1]}
NETWORKS = {
    "vit": (transformers.ViTConfig(**VIT), "attention-relevance"),
    "dinov2": (transformers.Dinov2Config(**VIT), "attention-relevance"),
    "beit": (transformers.BeitConfig(**VIT), "grad-cam"),
    "siglip": (transformers.SiglipConfig(text_config=TEXT, vision_config=VIT), "grad-cam"),
    "swin": (
        transformers.SwinConfig(
            image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4
        ),
        "grad-cam",
    ),
    "resnet": (transformers.ResNetConfig(**PYRAMID, embedding_size=8, layer_type="basic"), "grad-cam"),
    "convnext": (transformers.ConvNextConfig(**PYRAMID, num_stages=2), "grad-cam"),
}
METHODS = {"attention-relevance": AttentionRelevance, "grad-cam": GradCam}


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def pixels_of(images: Sequence[Image.Image]) -> torch.Tensor:
    return torch.stack([torch.tensor(np.asarray(image)).permute(2, 0, 1) / 255 for image in images])


def wrapped(network: nn.Module) -> TorchClassifier:
    return TorchClassifier(network.eval(), pixels_of, ("a", "b"))


def network(name: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return transformers.AutoModelForImageClassification.from_config(NETWORKS[name][0])


@pytest.mark.parametrize("name", NETWORKS)
def test_it_explains_as_the_method_it_names(name: str) -> None:
    classifier, method = wrapped(network(name)), NETWORKS[name][1]
    images, targets = [noise(32, 32, seed) for seed in range(3)], [0, 1, 1]
    expected = METHODS[method]().explain(classifier, images, targets)
    explained = AutoExplainer().explain(classifier, images, targets)
    assert [found.method for found in explained] == [method] * 3
    for found, other in zip(explained, expected, strict=True):
        np.testing.assert_array_equal(found.grid, other.grid)
        assert (found.target, found.class_specific) == (other.target, other.class_specific)


def test_one_explainer_serves_several_networks_and_probes_each_once() -> None:
    explainer, passes = AutoExplainer(), []
    classifiers = [wrapped(network(name)) for name in ("vit", "resnet")]
    for classifier in classifiers:
        classifier.module.register_forward_hook(lambda *_: passes.append(1))
    for _ in range(2):
        found = [explainer.explain(classifier, [noise(32, 32)], [0])[0].method for classifier in classifiers]
        assert found == ["attention-relevance", "grad-cam"]
    # To find the tokens (of the ResNet, that there are none) and to explain, then to explain; Grad-CAM also looks for
    # its layer once, and where its cells lie in four passes.
    assert len(passes) == (3 + 1 + 1) + (2 + 1 + 4 + 1 + 1)


def test_the_choice_leaves_the_network_as_it_was() -> None:
    classifier = wrapped(network("swin"))
    expected = classifier.predict_proba([noise(32, 32)])
    AutoExplainer().explain(classifier, [noise(32, 32)], [0])
    assert classifier.module.config._attn_implementation == "sdpa"
    assert not any(part._forward_hooks for part in classifier.module.modules())
    np.testing.assert_array_equal(classifier.predict_proba([noise(32, 32)]), expected)


def test_a_failing_forward_is_raised_and_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("in the middle")

    classifier, explainer = wrapped(network("vit")), AutoExplainer()
    with monkeypatch.context() as patch:
        patch.setattr(classifier.module.classifier, "forward", fail)
        with pytest.raises(RuntimeError, match="in the middle"):
            explainer.explain(classifier, [noise(32, 32)], [0])
    assert explainer.explain(classifier, [noise(32, 32)], [0])[0].method == "attention-relevance"


class Pair(nn.Module):
    """Two networks side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = network("resnet").eval(), network("vit").eval()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.first(pixels).logits + self.second(pixels).logits


def small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()


UNSEEN: dict[str, Callable[[], nn.Module]] = {
    "no map": lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 2)),
    "two networks": Pair,
    "learned queries": Queried,
    "a traced network": lambda: torch.jit.trace(small(), torch.zeros(1, 3, 32, 32)),
    "whole numbers for weights": lambda: torch.ao.quantization.quantize_dynamic(small(), {nn.Linear}),
    "a backbone without gradients": lambda: Frozen(small()),
}


class Frozen(nn.Module):
    """A network whose gradients are blocked."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(2, 2)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            features = self.body(pixels)
        return self.head(features)


@pytest.mark.filterwarnings("ignore::UserWarning")  # of torch about its quantisation and its tracing
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", UNSEEN)
def test_a_network_that_shows_no_late_map_is_explained_by_its_predictions(kind: str) -> None:
    classifier, image = wrapped(UNSEEN[kind]()), noise(32, 32)
    (found,) = AutoExplainer().explain(classifier, [image], [1])
    (expected,) = Occlusion().explain(classifier, [image], [1])
    assert found.method == "occlusion"
    np.testing.assert_array_equal(found.grid, expected.grid)


def test_requests_that_do_not_fit_are_refused() -> None:
    classifier = wrapped(network("resnet"))
    with pytest.raises(DataError, match="auto: .*1 images and 2 targets"):
        AutoExplainer().explain(classifier, [noise(8, 8)], [0, 1])
    with pytest.raises(DataError, match="targets must lie"):
        AutoExplainer().explain(classifier, [noise(8, 8)], [2])
    with pytest.raises(DataError, match="auto: got no images to explain ResNetForImageClassification"):
        AutoExplainer().explain(classifier, [], [])


def test_its_results_depend_on_the_methods_it_chooses_from() -> None:
    explainer = AutoExplainer()
    assert explainer.parameters() == {}
    assert [method["class"].rpartition(".")[2] for method in explainer.identity()["methods"]] == [
        "AttentionRelevance",
        "GradCam",
        "Occlusion",
    ]


def test_a_checkpoint_in_a_folder_is_explained(tiny_vit: Path) -> None:
    classifier = TransformersClassifier(str(tiny_vit))
    classifier.prepare(Context(device="cpu"))
    (found,) = AutoExplainer().explain(classifier, [noise(50, 40)], [1])
    assert (found.method, found.heatmap.shape) == ("attention-relevance", (40, 50))
