"""What the heat stands for: the method, the raw values of its colours, and the sign for "not seen"."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from .colormap import Heat, format_scale
from .layout import PALE, Sizes, font, shorten
from .overlays import Renderer, draw_masked, hatch_pattern


def draw_legend(measures: Sizes, method: str, heat: Heat | None, kind: Renderer) -> list[Image.Image]:
    """Lines below a picture of heat.

    Args:
        measures: of the panel.
        method: its name, and what else is to be said of it.
        heat: None where the map says nothing.
        kind: how the heat is drawn: the bar is drawn likewise.
    """
    name = _draw_name(measures, method)
    if heat is None:
        return [name]
    scale = _draw_scale(measures, heat, kind)
    lines = [name, scale] if measures.narrow else [_join(measures, name, scale)]
    return [*lines, _draw_unseen(measures)] if heat.unseen.any() else lines


def _join(measures: Sizes, name: Image.Image, scale: Image.Image) -> Image.Image:
    strip = Image.new("RGB", (measures.side, name.height), "white")
    strip.paste(name, (0, 0))
    strip.paste(scale, (measures.side - scale.width, 0))
    return strip


def _draw_name(measures: Sizes, method: str) -> Image.Image:
    strip = Image.new("RGB", (measures.half, measures.line + measures.gap), "white")
    pen, letters = ImageDraw.Draw(strip), font(round(measures.text * 0.85))
    words = shorten(pen, method, letters, strip.width - 2 * measures.gap)
    pen.text((measures.gap, strip.height // 2), words, fill=PALE, font=letters, anchor="lm")
    return strip


def _draw_scale(measures: Sizes, heat: Heat, kind: Renderer) -> Image.Image:
    strip = Image.new("RGB", (measures.half, measures.line + measures.gap), "white")
    pen, letters, middle = ImageDraw.Draw(strip), font(round(measures.text * 0.85)), strip.height // 2
    low, high = format_scale(heat.scale)
    low, high = f"< {low}" if heat.beneath else low, f"> {high}" if heat.clipped else high
    right = strip.width - measures.gap - round(pen.textlength(high, font=letters))
    left = 2 * measures.gap + round(pen.textlength(low, font=letters))
    pen.text((measures.gap, middle), low, fill=PALE, font=letters, anchor="lm")
    pen.text((right, middle), high, fill=PALE, font=letters, anchor="lm")
    bar = _draw_bar(kind, max(2, right - left - measures.gap), measures.text)
    strip.paste(bar, (left, middle - measures.text // 2))
    return strip


def _draw_bar(kind: Renderer, width: int, height: int) -> Image.Image:
    """All heats from cold to hot, drawn on a plain ground as the picture is."""
    ramp = np.tile(np.linspace(0, 1, width, dtype=np.float32), (height, 1))
    ground = _checkerboard(width, height) if kind is draw_masked else Image.new("RGB", (width, height), (128, 128, 128))
    return kind(ground, Heat(ramp, (0, 1), clipped=False))


def _checkerboard(width: int, height: int) -> Image.Image:
    """A ground whose contrast shows how far it fades."""
    rows, columns = np.indices((height, width)) // max(2, height // 3)
    return Image.fromarray(np.where((rows + columns) % 2, 235, 25).astype(np.uint8)).convert("RGB")


def _draw_unseen(measures: Sizes) -> Image.Image:
    strip = Image.new("RGB", (measures.side, measures.line), "white")
    left, size = measures.side - measures.half + measures.gap, measures.text
    strip.paste(Image.fromarray(hatch_pattern(size, 2 * size)), (left, (strip.height - size) // 2))
    words, letters = (left + 2 * size + measures.gap, strip.height // 2), font(round(size * 0.85))
    ImageDraw.Draw(strip).text(words, "not seen by the model", fill=PALE, font=letters, anchor="lm")
    return strip
