"""Draws a scene."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from .backdrops import VARIANTS as LAYOUTS
from .backdrops import draw_backdrop
from .drawing_style import DRAWING_STYLES, PAPER, DrawingStyle, role_colours
from .figure import VARIANTS, Figure, build_figure
from .palette import COATS, RGB, rgb
from .scene import NO_TAG, Scene
from .tag import paint_tag

BRIGHTNESS = {"dim": 0.76, "even": 1.0, "bright": 1.14}
EDITION = "1"
"""Raise it when the same scene is drawn differently: worlds on disk are then drawn again."""

PARTS = ("body", "leg", "tail", "head", "ear", "muzzle", "eye", "whisker", "horn", "wool")

_GRAIN = 97


def draw(scene: Scene, size: int = 64) -> Image.Image:
    """The scene as an RGB image, `size` pixels square. The same scene always gives the same pixels."""
    side, style, rng = 2 * size, DRAWING_STYLES[scene.style], np.random.default_rng([scene.detail, 1])
    image = _crop_backdrop(scene, side, rng)
    shown, points = _place_figure(scene, side, rng)
    _draw_shadow(image, points)
    _paint(image, shown, points, role_colours(_vary_colour(rgb(COATS[scene.coat].colour), rng), style))
    finished = _finish(image, scene, style, rng)
    return finished if scene.tag == NO_TAG else paint_tag(finished, scene.tag)


def draw_parts(scene: Scene, size: int = 64) -> NDArray[np.uint8]:
    """The part of the animal at each pixel of `draw(scene, size)`: h w; 0: the backdrop, i: the i-th of PARTS."""
    rng = np.random.default_rng([scene.detail, 1])
    _crop_backdrop(scene, 2 * size, rng)
    shown, points = _place_figure(scene, 2 * size, rng)
    image = Image.new("L", (2 * size, 2 * size))
    pen, start = ImageDraw.Draw(image), 0
    for end, part in zip(shown.ends, shown.parts, strict=True):
        pen.polygon(points[start:end].ravel().tolist(), PARTS.index(part) + 1)
        start = end
    return np.asarray(image.resize((size, size), Image.Resampling.NEAREST))


def _crop_backdrop(scene: Scene, side: int, rng: np.random.Generator) -> Image.Image:
    sheet = draw_backdrop(scene.backdrop, scene.detail % LAYOUTS, side)
    left, top = (int(v) for v in rng.integers(0, sheet.width - side + 1, 2))
    image = sheet.crop((left, top, left + side, top + side))
    return image if rng.random() < 0.5 else image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def _place_figure(scene: Scene, side: int, rng: np.random.Generator) -> tuple[Figure, NDArray[np.float32]]:
    """The figure, and its polygons in pixels."""
    shown = build_figure(scene.animal, scene.pose, int(rng.integers(VARIANTS)), DRAWING_STYLES[scene.style].line)
    stretch, slant = 1 + rng.uniform(-0.05, 0.05), rng.uniform(-0.05, 0.05)
    flip = 1 if scene.facing == "right" else -1
    scale = scene.size * side
    width, height = shown.size[0] * stretch * scale, shown.size[1] / stretch * scale
    fit = min(1.0, 0.97 * side / max(width, height))
    x, y = (
        np.clip(at * side, reach * fit / 2, side - reach * fit / 2)
        for at, reach in zip(scene.place, (width, height), strict=True)
    )
    shape = np.array([[flip * stretch, 0], [flip * slant, -1 / stretch]], dtype=np.float32) * (scale * fit)
    return shown, shown.points @ shape + np.array([x, y + height * fit / 2], dtype=np.float32)


@lru_cache(maxsize=8)
def _soft_disc(side: int) -> Image.Image:
    square = np.hypot(*np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side)))
    return Image.fromarray((np.clip(1 - square, 0, 0.45) / 0.45 * 105).astype(np.uint8))


def _draw_shadow(image: Image.Image, points: NDArray[np.float32]) -> None:
    (left, _), (right, bottom) = points.min(axis=0), points.max(axis=0)
    width, height = int(right - left) + 1, int((right - left) * 0.2) + 1
    mask = _soft_disc(64).resize((width, height), Image.Resampling.BILINEAR)
    image.paste((20, 16, 40), (int(left), int(bottom - height * 0.62)), mask)


def _paint(image: Image.Image, shown: Figure, points: NDArray[np.float32], palette: dict[str, RGB]) -> None:
    pen, start = ImageDraw.Draw(image), 0
    for end, role in zip(shown.ends, shown.roles, strict=True):
        pen.polygon(points[start:end].ravel().tolist(), palette[role])
        start = end


def _vary_colour(colour: RGB, rng: np.random.Generator) -> RGB:
    red, green, blue = (int(np.clip(v + shift, 0, 255)) for v, shift in zip(colour, rng.normal(0, 5, 3), strict=True))
    return red, green, blue


@lru_cache(maxsize=8)
def _paper_grain(side: int, grain: float, hatching: float) -> NDArray[np.float32]:
    """Grain of the paper, in grey levels: h w 1, a little larger than the image."""
    rng = np.random.default_rng(_GRAIN)
    side += 32
    noise = rng.normal(0, grain, (side, side, 1))
    y, x = np.mgrid[:side, :side]
    streaks = np.sin((x + 0.8 * y) * 1.9) * rng.uniform(0.2, 1, (side, 1))
    paper: NDArray[np.float32] = (noise + hatching * streaks[..., None]).astype(np.float32)
    return paper


def _finish(image: Image.Image, scene: Scene, style: DrawingStyle, rng: np.random.Generator) -> Image.Image:
    """The image at its final size, with blur, light and grain."""
    small = image.reduce(2)
    if scene.blur:
        small = small.filter(ImageFilter.GaussianBlur(scene.blur * small.width / 1000))
    pixels = np.asarray(small, dtype=np.float32)
    light = BRIGHTNESS[scene.light] * (1 + rng.uniform(-0.05, 0.05))
    if style.fade:
        pixels = pixels + (np.array(PAPER, dtype=np.float32) - pixels) * (style.fade * 0.6)
    i, j = rng.integers(0, 32, 2)
    grain = _paper_grain(small.width, style.grain, style.hatching)[i : i + small.width, j : j + small.width]
    return Image.fromarray(np.clip(pixels * light + grain, 0, 255).astype(np.uint8))
