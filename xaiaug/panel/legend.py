"""The legend of a panel: the method, the raw values of the colours, and the hatching for "not seen"."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from .colormap import Heat, format_scale
from .layout import PALE, Sizes, font, shorten
from .overlays import Renderer, draw_masked, hatch_pattern


def draw_legend(sizes: Sizes, method: str, heat: Heat | None, renderer: Renderer) -> list[Image.Image]:
    """Lines below a heatmap.

    Args:
        sizes: of the panel.
        method: its name, and whether the scale is shared.
        heat: None if the map is constant.
        renderer: draws the heat, and the colour bar in the same way.
    """
    name = _draw_name(sizes, method)
    if heat is None:
        return [name]
    scale = _draw_scale(sizes, heat, renderer)
    lines = [name, scale] if sizes.narrow else [_join(sizes, name, scale)]
    return [*lines, _draw_unseen(sizes)] if heat.unseen.any() else lines


def _join(sizes: Sizes, name: Image.Image, scale: Image.Image) -> Image.Image:
    strip = Image.new("RGB", (sizes.side, name.height), "white")
    strip.paste(name, (0, 0))
    strip.paste(scale, (sizes.side - scale.width, 0))
    return strip


def _draw_name(sizes: Sizes, method: str) -> Image.Image:
    strip = Image.new("RGB", (sizes.half, sizes.line + sizes.gap), "white")
    pen, letters = ImageDraw.Draw(strip), font(round(sizes.text * 0.85))
    words = shorten(pen, method, letters, strip.width - 2 * sizes.gap)
    pen.text((sizes.gap, strip.height // 2), words, fill=PALE, font=letters, anchor="lm")
    return strip


def _draw_scale(sizes: Sizes, heat: Heat, renderer: Renderer) -> Image.Image:
    strip = Image.new("RGB", (sizes.half, sizes.line + sizes.gap), "white")
    pen, letters, middle = ImageDraw.Draw(strip), font(round(sizes.text * 0.85)), strip.height // 2
    low, high = format_scale(heat.scale)
    low, high = f"< {low}" if heat.beneath else low, f"> {high}" if heat.clipped else high
    right = strip.width - sizes.gap - round(pen.textlength(high, font=letters))
    left = 2 * sizes.gap + round(pen.textlength(low, font=letters))
    pen.text((sizes.gap, middle), low, fill=PALE, font=letters, anchor="lm")
    pen.text((right, middle), high, fill=PALE, font=letters, anchor="lm")
    bar = _draw_bar(renderer, max(2, right - left - sizes.gap), sizes.text)
    strip.paste(bar, (left, middle - sizes.text // 2))
    return strip


def _draw_bar(renderer: Renderer, width: int, height: int) -> Image.Image:
    """The colours from cold to hot, drawn on a plain background by the renderer of the picture."""
    ramp = np.tile(np.linspace(0, 1, width, dtype=np.float32), (height, 1))
    ground = (
        _checkerboard(width, height) if renderer is draw_masked else Image.new("RGB", (width, height), (128, 128, 128))
    )
    return renderer(ground, Heat(ramp, (0, 1), clipped=False))


def _checkerboard(width: int, height: int) -> Image.Image:
    """A background whose contrast shows how far it is faded."""
    rows, columns = np.indices((height, width)) // max(2, height // 3)
    return Image.fromarray(np.where((rows + columns) % 2, 235, 25).astype(np.uint8)).convert("RGB")


def _draw_unseen(sizes: Sizes) -> Image.Image:
    strip = Image.new("RGB", (sizes.side, sizes.line), "white")
    left, size = sizes.side - sizes.half + sizes.gap, sizes.text
    strip.paste(Image.fromarray(hatch_pattern(size, 2 * size)), (left, (strip.height - size) // 2))
    words, letters = (left + 2 * size + sizes.gap, strip.height // 2), font(round(size * 0.85))
    ImageDraw.Draw(strip).text(words, "not seen by the model", fill=PALE, font=letters, anchor="lm")
    return strip
