"""Blobs that stand for animals: a body and a head on a backdrop with a little grain, every attribute as told."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

SIDE = 64


def outline(size: float = 0.2, place: tuple[float, float] = (0.5, 0.55)) -> NDArray[np.bool_]:
    """Where the animal is, h w: `size` is its share of the image, `place` x y of its middle, 0 to 1."""
    radius = np.sqrt(size * SIDE * SIDE / 3.0)
    x, y = place[0] * SIDE, place[1] * SIDE
    stencil = Image.new("1", (SIDE, SIDE))
    pen = ImageDraw.Draw(stencil)
    pen.ellipse((x - 1.15 * radius, y - 0.5 * radius, x + 0.95 * radius, y + 0.95 * radius), fill=1)
    head = (x + 0.55 * radius, y - 0.6 * radius, 0.55 * radius)
    pen.ellipse((head[0] - head[2], head[1] - head[2], head[0] + head[2], head[1] + head[2]), fill=1)
    return np.asarray(stencil)


def blob(
    seed: int,
    *,
    coat: str = "#c8803c",
    backdrop: str = "#5a9a50",
    size: float = 0.2,
    place: tuple[float, float] = (0.5, 0.55),
    light: float = 1.0,
    blur: float = 0.0,
) -> Image.Image:
    """The animal, 64 pixels square; `light` multiplies its pixels, `blur` is a radius in pixels."""
    generator = np.random.default_rng(seed)
    image = Image.new("RGB", (SIDE, SIDE), backdrop)
    inside = outline(size, place)
    image.paste(Image.new("RGB", image.size, coat), mask=Image.fromarray(inside))
    values = np.asarray(image, np.float32) + generator.normal(0, 6, 3) + generator.normal(0, 5, (SIDE, SIDE, 1))
    values += np.where(inside, 8 * np.sin(np.arange(SIDE) * 1.3), 0)[..., None]
    shown = Image.fromarray(np.clip(values * light, 0, 255).astype(np.uint8))
    return shown.filter(ImageFilter.GaussianBlur(blur)) if blur else shown
