"""Weather effects on a photograph: h w c, float32; 0 to 1 in, and about 0 to 1 out."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Floats = NDArray[np.float32]
Effect = Callable[[Floats, float, np.random.Generator], Floats]


def fog(photo: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """A pale grey haze, in drifts."""
    height, width, _ = photo.shape
    drifts = Image.fromarray(rng.uniform(0.4, 1, (3, 3)).astype(np.float32))
    share = np.asarray(drifts.resize((width, height), Image.Resampling.BICUBIC), np.float32)[..., None]
    share = np.clip(0.8 * strength * share, 0, 1)
    mist: Floats = photo * (1 - share) + np.float32(0.82) * share
    return mist


def dusk(photo: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """Darker, and warm or cold."""
    tint = np.array([1.1, 0.95, 0.8] if rng.random() < 0.5 else [0.8, 0.9, 1.1], np.float32)
    dark: Floats = photo * (1 - strength * (1 - 0.35 * tint))
    return dark


def glare(photo: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """A light in one of the upper corners."""
    height, width, _ = photo.shape
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    side = x if rng.random() < 0.5 else 1 - x
    light = np.exp(-3 * (side**2 + y**2))[..., None].astype(np.float32)
    bright: Floats = photo + strength * light * (1.05 - photo)
    return bright


def rain(photo: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """Slanted streaks, and less contrast behind them."""
    height, width, _ = photo.shape
    drops = (rng.random((height, width)) < 0.025).astype(np.float32)
    slant = int(rng.integers(-1, 2))
    length = max(3, height // 10)
    streaks = sum(np.roll(drops, (step, slant * step // 3), (0, 1)) for step in range(length))
    soft = Image.fromarray((np.minimum(np.asarray(streaks), 1) * 255).astype(np.uint8))
    veil = np.asarray(soft.filter(ImageFilter.GaussianBlur(0.6)), np.float32)[..., None] / 255
    dull = photo * (1 - 0.3 * strength) + np.float32(0.45) * 0.3 * strength
    wet: Floats = dull + 0.45 * strength * veil * (1 - dull)
    return wet


EFFECTS: dict[str, Effect] = {"dusk": dusk, "fog": fog, "glare": glare, "rain": rain}
