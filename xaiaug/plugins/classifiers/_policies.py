"""Automatic augmentations and CutMix, by kornia: what is left to chance follows from a seed and a place alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ._augment import MIXES, POLICIES

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
