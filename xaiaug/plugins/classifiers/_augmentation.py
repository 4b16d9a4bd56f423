"""The default augmentation, random resized crop and flip, and the names of those that may be added to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

POLICIES = ("trivialaugment", "randaugment")  # change each view (arXiv 2103.10158, 1909.13719)
MIXES = ("cutmix",)  # mix the views of a batch (arXiv 1905.04899)
AUGMENTATIONS = ("default", *POLICIES, *MIXES)

_SCALE = (0.5, 1.0)  # share of the image's area
_RATIO = (3 / 4, 4 / 3)  # width over height


def augment(image: Image.Image, size: tuple[int, int], generator: np.random.Generator) -> NDArray[np.uint8]:
    """One view of an image: a random part of it, resized, and mirrored half of the time.

    Args:
        image: h w c, RGB.
        size: height and width of the view.
        generator: decides the part and the mirroring.

    Returns:
        h w c, uint8.
    """
    box = _random_box(image.width, image.height, generator)
    view = np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=box))
    return view[:, ::-1] if generator.random() < 0.5 else view


def _random_box(width: int, height: int, generator: np.random.Generator) -> tuple[float, float, float, float]:
    area = width * height * generator.uniform(*_SCALE)
    ratio = math.exp(generator.uniform(math.log(_RATIO[0]), math.log(_RATIO[1])))
    across, down = min(width, math.sqrt(area * ratio)), min(height, math.sqrt(area / ratio))
    left, top = generator.uniform(0, width - across), generator.uniform(0, height - down)
    return left, top, min(width, left + across), min(height, top + down)


View = NDArray[np.uint8]


def varied(views: Sequence[View], augment: Sequence[str], seed: int, places: Sequence[int]) -> Sequence[View]:
    """The views, each changed by the policies that were asked for: h w c, uint8."""
    names = [name for name in augment if name in POLICIES]
    if not names:
        return views
    return [_changed(view, names, seed, place) for view, place in zip(views, places, strict=True)]


def mixed(batch: dict[str, Tensor], augment: Sequence[str], seed: int, place: int) -> dict[str, Tensor]:
    """The batch, with "others" and "share" where images are mixed: the second class of each, and how much it counts."""
    if not set(MIXES) & set(augment):
        return batch
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed * 1_000_003 + place)
        pixels, labels = _cutmix()(batch["pixels"], batch["targets"])
    own, others, kept = labels[0].T  # one mix: n 3
    return {**batch, "pixels": pixels, "targets": own.long(), "others": others.long(), "share": 1 - kept.float()}


def _changed(view: View, names: Sequence[str], seed: int, place: int) -> View:
    pixels = torch.from_numpy(np.array(view)).permute(2, 0, 1)[None].float() / 255
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed * 1_000_003 + place)
        for name in names:
            pixels = _policy(name)(pixels)
    return (pixels[0].clamp(0, 1) * 255).round().permute(1, 2, 0).to(torch.uint8).numpy()


@cache
def _policy(name: str) -> Callable[[Tensor], Tensor]:
    from kornia.augmentation.auto import RandAugment, TrivialAugment

    policy: Callable[[Tensor], Tensor] = TrivialAugment() if name == "trivialaugment" else RandAugment(n=2, m=10)
    return policy


@cache
def _cutmix() -> Callable[..., Any]:
    from kornia.augmentation import RandomCutMixV2

    mix: Callable[..., Any] = RandomCutMixV2(data_keys=["input", "class"], use_correct_lambda=True)
    return mix
