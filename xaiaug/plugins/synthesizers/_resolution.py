"""The resolution at which a pipeline generates an image or changes a photo."""

from __future__ import annotations

import math
from typing import Any

from PIL import Image

from ._weights import Weights

COARSE, FINE = 64, 8  # sides are multiples of these, for large and tiny models
LARGE = 512


def native_side(pipe: Any) -> int:
    """Side in pixels that a pipeline was trained on; 1024 if its configuration does not say."""
    part = getattr(pipe, "unet", None) or getattr(pipe, "transformer", None)
    cells = getattr(getattr(part, "config", None), "sample_size", None)
    factor = getattr(pipe, "vae_scale_factor", None)
    return cells * factor if isinstance(cells, int) and isinstance(factor, int) else 1024


def configured_pixels(weights: Weights) -> int:
    """Pixels of an image at the weights' default size, from their configuration; 0 if it does not say."""
    parts = (weights.config(part) for part in ("unet", "transformer"))
    cells = next((part["sample_size"] for part in parts if "sample_size" in part), None)
    levels = weights.config("vae").get("block_out_channels")
    if not isinstance(cells, int) or not isinstance(levels, list):
        return 0
    return int(cells * 2 ** (len(levels) - 1)) ** 2


def working_size(photo: Image.Image, side: int) -> tuple[int, int]:
    """Width and height with about the photo's aspect ratio, and as many pixels as a square of `side`."""
    step = COARSE if side >= LARGE else FINE
    stretch = side / math.sqrt(photo.width * photo.height)
    width, height = (max(step, round(length * stretch / step) * step) for length in photo.size)
    return width, height


def to_working_size(photo: Image.Image, side: int) -> Image.Image:
    """The photo at its working size, RGB."""
    return photo.convert("RGB").resize(working_size(photo, side), Image.Resampling.LANCZOS)
