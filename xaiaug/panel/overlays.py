"""The pictures of a panel: the image, the heatmap, and the heatmap over the image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..records import Explanation
from .colormap import Heat, Scale
from .layout import font

Renderer = Callable[[Image.Image, Heat | None], Image.Image]
_STRIPE, _GROUND = 205, 232
_COLD_SHARE, _HOT_SHARE, _UNSEEN_SHARE = 0.35, 0.7, 0.5
_MASK = 128
_LONGEST = 5


def fit_image(image: Image.Image, width: int, height: int) -> tuple[Image.Image, str]:
    """The image at the largest size that fits the box, and a note if its proportions changed.

    They change only for an image so long that its content would be too small: its shorter side is stretched to a
    fifth of the longer one.
    """
    factor = min(width / image.width, height / image.height)
    across, down = image.width * factor, image.height * factor
    least = max(across, down) / _LONGEST
    size = (max(1, round(max(across, least))), max(1, round(max(down, least))))
    note = ""
    if min(across, down) < least:
        note = f"{'height' if down < across else 'width'} stretched {least / min(across, down):.2g} times"
    return image.resize(size, Image.Resampling.BICUBIC if factor > 1 else Image.Resampling.LANCZOS), note


def draw_image(image: Image.Image, _heat: Heat | None) -> Image.Image:
    """The image alone."""
    return image


def draw_heatmap(image: Image.Image, heat: Heat | None) -> Image.Image:
    """The heat alone."""
    if heat is None:
        return _write_no_signal(Image.new("RGB", image.size, (_GROUND,) * 3))
    return Image.fromarray(_hatch(heat.colours(), heat))


def draw_overlay(image: Image.Image, heat: Heat | None) -> Image.Image:
    """The heat over the image in grey, so that only the heat is coloured."""
    if heat is None:
        return _write_no_signal(image)
    grey = np.asarray(image.convert("L"), dtype=np.float32)[..., None]
    colours, share = _colour(heat)
    return Image.fromarray(np.rint((1 - share) * grey + share * colours).astype(np.uint8))


def draw_heat_layer(explanation: Explanation, side: int, scale: Scale | None = None) -> Image.Image | None:
    """The heat alone, to be laid over the image in grey: RGBA, its alpha the share that `overlay_heatmap` mixes in.

    Args:
        explanation: raw values, of any size.
        side: longest side of the layer in pixels; no smaller map is enlarged.
        scale: as of `overlay_heatmap`.

    Returns:
        None for a constant map.
    """
    height, width = explanation.heatmap.shape
    factor = min(1.0, side / max(height, width))
    heat = Heat.of(explanation, (max(1, round(width * factor)), max(1, round(height * factor))), scale)
    if heat is None:
        return None
    colours, share = _colour(heat)
    return Image.fromarray(np.rint(np.concatenate([colours, 255 * share], axis=2)).astype(np.uint8), "RGBA")


def _colour(heat: Heat) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Colours over an image in grey, h w 3, and their share of the mixture, h w 1; hatched where nothing was seen."""
    unseen = heat.unseen[..., None]
    # Cold colours are dark: they cover less, or they would hide the image.
    share = _COLD_SHARE + (_HOT_SHARE - _COLD_SHARE) * np.nan_to_num(heat.shares)[..., None]
    colours = np.where(unseen, hatch_pattern(*heat.unseen.shape).astype(np.float32), heat.colours())
    return colours, np.where(unseen, _UNSEEN_SHARE, share)


def overlay_heatmap(image: Image.Image, explanation: Explanation | None, scale: Scale | None = None) -> Image.Image:
    """The heatmap over its image, pixel for pixel as a panel of the layout "overlay" shows it.

    Args:
        image: RGB, of any size.
        explanation: raw values, of any size; None or a constant map is drawn as "no signal".
        scale: raw values of the coldest and the hottest colour; None takes them from this map.
    """
    return draw_overlay(image, None if explanation is None else Heat.of(explanation, image.size, scale))


def draw_masked(image: Image.Image, heat: Heat | None) -> Image.Image:
    """The image where it is hot, fading to grey where it is cold."""
    if heat is None:
        return _write_no_signal(image)
    # The square root lifts medium values: without it everything but the peak turns grey.
    share = np.sqrt(np.nan_to_num(heat.shares))[..., None]
    mixed = share * np.asarray(image, dtype=np.float32) + (1 - share) * _MASK
    return Image.fromarray(_hatch(mixed, heat))


def hatch_pattern(height: int, width: int) -> NDArray[np.uint8]:
    """The hatching that stands for "not seen": h w 3, uint8."""
    rows, columns = np.indices((height, width))
    grey = np.where((rows + columns) // 4 % 2 == 0, _STRIPE, _GROUND)
    return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)


def _hatch(pixels: NDArray[np.floating] | NDArray[np.uint8], heat: Heat) -> NDArray[np.uint8]:
    """The pixels, hatched where the model did not look."""
    hatching = hatch_pattern(*heat.unseen.shape).astype(np.float32)
    return np.rint(np.where(heat.unseen[..., None], hatching, pixels)).astype(np.uint8)


def _write_no_signal(ground: Image.Image) -> Image.Image:
    picture = ground.copy()
    pen = ImageDraw.Draw(picture)
    letters = font(max(12, min(picture.size) // 10))
    centre = (picture.width / 2, picture.height / 2)
    left, top, right, bottom = pen.textbbox(centre, "no signal", font=letters, anchor="mm")
    pen.rectangle((left - 6, top - 4, right + 6, bottom + 4), fill="white")
    pen.text(centre, "no signal", fill=(90, 90, 90), font=letters, anchor="mm")
    return picture
