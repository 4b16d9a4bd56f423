"""Tiny networks of every family that explainers know, and what they attend to by the library's own eager attention."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image
from torch import nn

from xaiaug import Classifier, TorchClassifier
from xaiaug.interfaces import Context

LABELS = ("a", "b", "c")
SMALL = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32, "num_labels": 3}
VIT = {**SMALL, "image_size": 32, "patch_size": 8}
TEXT = {**SMALL, "vocab_size": 8, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
SIGLIP = transformers.SiglipVisionConfig(**VIT)

# For each vision transformer: its config or backbone, the tokens before those of the patches, and what its head reads.
TRANSFORMERS = {
    "vit": (transformers.ViTConfig(**VIT), 1, "cls"),
    "deit": (transformers.DeiTConfig(**VIT, architectures=["DeiTForImageClassification"]), 2, "cls"),
    "deit-distilled": (
        transformers.DeiTConfig(**VIT, architectures=["DeiTForImageClassificationWithTeacher"]),
        2,
        "cls and distillation",
    ),
    "dinov2": (transformers.Dinov2Config(**VIT), 1, "cls"),
    "dinov2-registers": (transformers.Dinov2WithRegistersConfig(**VIT), 5, "cls"),
    "dinov3": (transformers.DINOv3ViTConfig(**VIT, num_register_tokens=4), 5, "cls"),
    "beit": (transformers.BeitConfig(**VIT, use_relative_position_bias=True), 1, "mean"),
    "beit-cls": (transformers.BeitConfig(**VIT, use_mean_pooling=False), 1, "cls"),
    "siglip": (transformers.SiglipConfig(text_config=TEXT, vision_config=VIT, num_labels=3), 0, "mean"),
    "siglip-pooled": (SIGLIP, 0, "pooling"),
    "siglip2": (
        transformers.Siglip2Config(
            text_config=TEXT, vision_config={**SMALL, "patch_size": 8, "num_patches": 16}, num_labels=3
        ),
        0,
        "mean",
    ),
    "clip": (transformers.CLIPConfig(text_config=TEXT, vision_config=VIT, num_labels=3), 1, "mean"),
}


class Headed(nn.Module):
    """A backbone with a linear head on what its own pooler gives, as its users write it."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(16, 3)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(pixels).pooler_output)


class Queried(nn.Module):
    """64 patches of 32 pixels, and four learned queries that the head reads: what the queries hold is no map."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.queries = nn.Conv2d(3, 8, 4, 4), nn.Parameter(torch.randn(1, 4, 8))
        self.attention, self.head = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 2)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(pixels).flatten(2).transpose(1, 2)
        queries = self.queries.expand(len(pixels), -1, -1)
        return self.head((queries + self.attention(queries, tokens, tokens, need_weights=False)[0]).mean(1))


class Guess(Classifier):
    """A classifier without a network."""

    labels = ("a", "b")

    def fit(self, train: Sequence, validation: Sequence, *, recipe: object, seed: int) -> None:
        raise NotImplementedError

    def predict_proba(self, images: Sequence[Image.Image]) -> np.ndarray:
        return np.full((len(images), 2), 0.5, np.float32)

    def save(self, folder: str | Path) -> None:
        raise NotImplementedError

    @classmethod
    def load(cls, folder: str | Path) -> Guess:
        return cls()

    def fork(self) -> Guess:
        return Guess()


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def pixels_of(images: Sequence[Image.Image]) -> torch.Tensor:
    """The images as they are: n c h w, 0 to 1."""
    return torch.stack([torch.tensor(np.asarray(image)).permute(2, 0, 1) / 255 for image in images])


def drawn(network: nn.Module, spread: float = 0.3, seed: int = 3) -> nn.Module:
    """The network with random weights that make something of an image, and attention far from uniform."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * spread
    return network.eval()


def transformer(name: str) -> nn.Module:
    """A vision transformer of that family: 32 pixels, 16 patches."""
    config = TRANSFORMERS[name][0]
    with torch.random.fork_rng():
        torch.manual_seed(7)
        if name in ("dinov3", "siglip-pooled"):
            return drawn(Headed(transformers.AutoModel.from_config(config)))
        return drawn(transformers.AutoModelForImageClassification.from_config(config))


def wrapped(network: nn.Module, labels: Sequence[str] = LABELS) -> TorchClassifier:
    """The network as a classifier of images as they are."""
    classifier = TorchClassifier(network.eval(), pixels_of, labels)
    classifier.prepare(Context(device="cpu"))
    return classifier


class _PoolingAttention(nn.Module):
    """torch's attention of a pooling head, step by step, with the weights of each head in the open."""

    def __init__(self, original: nn.MultiheadAttention) -> None:
        super().__init__()
        self.original = original

    def forward(self, *tokens: torch.Tensor, attn_mask: None = None) -> tuple[torch.Tensor, torch.Tensor]:
        part = self.original
        triples = zip(tokens, part.in_proj_weight.chunk(3), part.in_proj_bias.chunk(3), strict=True)
        query, key, value = (
            (each @ weight.T + bias).reshape(len(each), -1, part.num_heads, part.head_dim).transpose(1, 2)
            for each, weight, bias in triples
        )
        weights = (query @ key.transpose(2, 3) / part.head_dim**0.5).softmax(-1)
        return part.out_proj((weights @ value).transpose(1, 2).flatten(2)), weights


def _eager(network: nn.Module) -> nn.Module:
    network = copy.deepcopy(network)
    for part in list(network.modules()):
        if hasattr(getattr(part, "config", None), "_attn_implementation"):
            part.config._attn_implementation = "eager"
        if isinstance(getattr(part, "attention", None), nn.MultiheadAttention):
            part.attention = _PoolingAttention(part.attention)
    return network


def attentions(network: nn.Module, image: Image.Image, target: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The attention of each layer to one image, a pooling head's last, and its gradients: h q k, float64."""
    from xaiaug.plugins._logits import compute_logits

    kept: list[torch.Tensor] = []

    def keep(_: nn.Module, __: object, output: object) -> None:
        if isinstance(output, tuple) and len(output) == 2 and getattr(output[1], "ndim", 0) == 4:
            output[1].retain_grad()
            kept.append(output[1])

    network = _eager(network)
    for part in network.modules():
        if type(part).__name__.endswith("Attention"):
            part.register_forward_hook(keep)
    compute_logits(network, pixels_of([image]))[0, target].backward()
    gradients = [layer.grad[0] if layer.grad is not None else torch.zeros_like(layer[0]) for layer in kept]
    return [layer[0].detach().double().numpy() for layer in kept], [each.double().numpy() for each in gradients]


def read(product: np.ndarray, name: str, pooled: np.ndarray | None = None) -> np.ndarray:
    """The row of a matrix (n n) that the family's head reads, on its patches: gh gw, the grid having four rows."""
    _, prefix, readout = TRANSFORMERS[name]
    if readout == "pooling":
        row = pooled @ product
    else:
        rows = {"cls": [0], "cls and distillation": [0, 1], "mean": range(prefix, len(product))}[readout]
        row = product[list(rows)].mean(0)
    return row[prefix:].reshape(4, -1)
