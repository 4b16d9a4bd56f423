"""Nuisance edits: small changes that mean nothing. They bring wrong predictions back too, so a cause must beat them."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from ..imaging.image_stats import to_pixels
from ..records import Cause

Edit = Callable[[Image.Image, np.random.Generator], Image.Image]

CROP = 0.05  # of width and height
QUALITY = 40  # of JPEG
BLUR = 1 / 180  # of the longer side
BRIGHTNESS = 0.1
SHIFT = 0.04  # of width and height
GRAIN = 8  # standard deviation, in grey levels


def _flip(image: Image.Image, rng: np.random.Generator) -> Image.Image:  # noqa: ARG001
    return ImageOps.mirror(image)


def _crop(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    left, top = (rng.uniform(0, CROP) * side for side in image.size)
    box = (left, top, left + image.width * (1 - CROP), top + image.height * (1 - CROP))
    return image.resize(image.size, Image.Resampling.BICUBIC, box=box)


def _compress(image: Image.Image, rng: np.random.Generator) -> Image.Image:  # noqa: ARG001
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY)
    return Image.open(out).convert("RGB")


def _blur(image: Image.Image, rng: np.random.Generator) -> Image.Image:  # noqa: ARG001
    return image.filter(ImageFilter.GaussianBlur(max(0.6, max(image.size) * BLUR)))


def _brighten(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    gain = 1 + BRIGHTNESS * (1 if rng.random() < 0.5 else -1)
    return Image.fromarray(np.clip(to_pixels(image) * gain, 0, 255).astype(np.uint8))


def _shift(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    across, down = (round(side * SHIFT * way) for side, way in zip(image.size, rng.choice((-1, 1), 2), strict=True))
    pad = ((max(down, 0), max(-down, 0)), (max(across, 0), max(-across, 0)), (0, 0))
    padded = np.pad(to_pixels(image), pad, mode="edge")
    top, left = max(-down, 0), max(-across, 0)
    return Image.fromarray(padded[top : top + image.height, left : left + image.width])


def _add_grain(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    noise = rng.normal(0, GRAIN, (image.height, image.width, 1))
    return Image.fromarray(np.clip(np.round(to_pixels(image) + noise), 0, 255).astype(np.uint8))


FLIP = "a flip"
NUISANCES: dict[str, Edit] = {
    FLIP: _flip,
    "a crop by 5 %": _crop,
    "JPEG compression": _compress,
    "a slight blur": _blur,
    "a change of light by 10 %": _brighten,
    "a shift by 4 %": _shift,
    "a little grain": _add_grain,
}
"""Each takes the image and a source of randomness. How large a cause's edit is, its control elsewhere is too."""


def list_nuisances(cause: Cause, has: bool) -> list[str]:
    """The nuisance edits that leave the cause as it is: a flip moves a region that the image has.

    Args:
        cause: that the edits are compared with.
        has: whether the images have it.
    """
    return [name for name in NUISANCES if not (name == FLIP and cause.kind == "region" and has)]
