"""The resolution at which a pipeline generates an image or changes a photo."""

from __future__ import annotations

import inspect
import math
from typing import Any

from PIL import Image

from ...errors import ConfigError
from ._weights import Weights, diffusers_package

COARSE, FINE = 64, 8  # sides are multiples of these, for large and tiny models
LARGE = 512
LEAST_STEP = 8  # written into most pipelines, whatever their autoencoder


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


def check_size(weights: Weights, size: int, who: str) -> None:
    """Checks that a pipeline on this machine can make images of a size, before it is loaded.

    Raises:
        ConfigError: it cannot, or would make another size without a word.
    """
    name = str(weights.index().get("_class_name", ""))
    step = _side_step(weights)
    if step and size % step:
        below, above = size // step * step, -(-size // step) * step
        raise ConfigError(
            f"{who}: size must be a multiple of {step} for {name}, got {size}; try {below or above} or {above}"
        )
    module = inspect.getmodule(getattr(diffusers_package(), name, None))
    shapes = getattr(module, "SUPPORTED_SHAPE", ())
    if shapes and not any(tuple(shape) == (size, size) for shape in shapes):
        known = sorted({shape[0] for shape in shapes if shape[0] == shape[1]})
        raise ConfigError(f"{who}: {name} makes squares of {', '.join(map(str, known))} pixels, got size = {size}")


def _side_step(weights: Weights) -> int:
    """The sides of images are multiples of this; 0 if the configuration does not say."""
    movq = weights.config("movq").get("block_out_channels")
    if isinstance(movq, list):
        return int(2 ** (len(movq) - 1)) ** 2
    vae = weights.config("vae")
    if isinstance(deep := vae.get("encoder_block_out_channels"), list):  # of Sana, whose patches are single cells
        return max(32, int(2 ** (len(deep) - 1)))
    if isinstance(halvings := vae.get("temperal_downsample"), list):  # of Qwen-Image
        return int(2 ** len(halvings)) * 2
    if not isinstance(levels := vae.get("block_out_channels"), list):
        return 0
    patch = 1 if weights.config("unet") else 2  # transformers read latents in patches of two by two
    return max(LEAST_STEP, int(2 ** (len(levels) - 1)) * patch)


def working_size(photo: Image.Image, side: int) -> tuple[int, int]:
    """Width and height with about the photo's aspect ratio, and as many pixels as a square of `side`."""
    step = COARSE if side >= LARGE else FINE
    stretch = side / math.sqrt(photo.width * photo.height)
    width, height = (max(step, round(length * stretch / step) * step) for length in photo.size)
    return width, height


def to_working_size(photo: Image.Image, side: int) -> Image.Image:
    """The photo at its working size, RGB."""
    return photo.convert("RGB").resize(working_size(photo, side), Image.Resampling.LANCZOS)
