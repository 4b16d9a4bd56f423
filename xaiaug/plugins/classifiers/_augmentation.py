"""The default augmentation, random resized crop and flip, and the named ones that may be added to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

View = NDArray[np.uint8]

POLICIES = ("trivialaugment", "randaugment")  # change each view (arXiv 2103.10158, 1909.13719)
MIXES = ("cutmix",)  # mix the views of a batch (arXiv 1905.04899)
AUGMENTATIONS = ("default", *POLICIES, *MIXES)

_SCALE = (0.5, 1.0)  # share of the image's area
_RATIO = (3 / 4, 4 / 3)  # width over height


@dataclass(frozen=True)
class Crop:
    """What part of an image a view shows, and whether mirrored.

    Attributes:
        box: left, top, right and bottom in pixels.
        mirrored: left to right.
    """

    box: tuple[float, float, float, float]
    mirrored: bool


def draw_crop(size: tuple[int, int], generator: np.random.Generator) -> Crop:
    """A random part of an image of that width and height, mirrored half of the time."""
    box = _draw_box(*size, generator)
    return Crop(box, bool(generator.random() < 0.5))


def crop_view(image: Image.Image, size: tuple[int, int], crop: Crop) -> View:
    """The part of an image or a mask that a crop shows, resized.

    Args:
        image: RGB or grey.
        size: height and width of the view.
        crop: of an image of this size.

    Returns:
        h w c, or h w of a grey one, uint8.
    """
    view = np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=crop.box))
    return view[:, ::-1] if crop.mirrored else view


def _draw_box(width: int, height: int, generator: np.random.Generator) -> tuple[float, float, float, float]:
    area = width * height * generator.uniform(*_SCALE)
    ratio = math.exp(generator.uniform(math.log(_RATIO[0]), math.log(_RATIO[1])))
    across, down = min(width, math.sqrt(area * ratio)), min(height, math.sqrt(area / ratio))
    left, top = generator.uniform(0, width - across), generator.uniform(0, height - down)
    return left, top, min(width, left + across), min(height, top + down)


def apply_policies(
    views: Sequence[View], augment: Sequence[str], seed: int, positions: Sequence[int]
) -> Sequence[View]:
    """The views, each changed by those of the named augmentations that are policies: h w c, uint8."""
    names = [name for name in augment if name in POLICIES]
    if not names:
        return views
    return [_apply_to_view(view, names, seed, position) for view, position in zip(views, positions, strict=True)]


def _apply_to_view(view: View, names: Sequence[str], seed: int, position: int) -> View:
    pixels = torch.from_numpy(np.array(view)).permute(2, 0, 1)[None].float() / 255
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed * 1_000_003 + position)
        for name in names:
            pixels = _load_policy(name)(pixels)
    return (pixels[0].clamp(0, 1) * 255).round().permute(1, 2, 0).to(torch.uint8).numpy()


@cache
def _load_policy(name: str) -> Callable[[Tensor], Tensor]:
    from kornia.augmentation.auto import RandAugment, TrivialAugment

    policy: Callable[[Tensor], Tensor] = TrivialAugment() if name == "trivialaugment" else RandAugment(n=2, m=10)
    return policy


def mix_views(batch: dict[str, Tensor], augment: Sequence[str], seed: int, position: int) -> dict[str, Tensor]:
    """The batch; where images are mixed, "others" is the second class of each and "share" the weight of that class."""
    if not set(MIXES) & set(augment):
        return batch
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed * 1_000_003 + position)
        pixels, labels = _load_cutmix()(batch["pixels"], batch["targets"])
    targets, others, kept = labels[0].T  # one mix: n 3
    return {**batch, "pixels": pixels, "targets": targets.long(), "others": others.long(), "share": 1 - kept.float()}


@cache
def _load_cutmix() -> Callable[..., Any]:
    from kornia.augmentation import RandomCutMixV2

    mix: Callable[..., Any] = RandomCutMixV2(data_keys=["input", "class"], use_correct_lambda=True)
    return mix
