"""Puts pictures, captions, labels and legend together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from ..errors import DataError, nearest
from ..records import Explanation
from .heat import Heat, Scale, check_scale, colour_table
from .lettering import font, shorten
from .pictures import Picture, fit, heatmap, masked, overlay, plain, stripes

LAYOUTS: Mapping[str, Mapping[str, Picture]] = {
    "side-by-side": {"image": plain, "heatmap": heatmap},
    "overlay": {"heatmap over image": overlay},
    "masked": {"image where it is hot": masked},
    "image-only": {"image": plain},
}
_LEAST_SIDE = 128
_WIDE = 1.8
_INK, _PALE, _RIGHT, _WRONG = (25, 25, 25), (95, 95, 95), (0, 105, 60), (190, 30, 20)


@dataclass(frozen=True)
class _Measures:
    """Sizes in pixels that follow from the side of a panel."""

    side: int

    @property
    def text(self) -> int:
        return max(11, round(self.side / 32))

    @property
    def gap(self) -> int:
        return max(4, round(self.side / 64))

    @property
    def line(self) -> int:
        return round(self.text * 1.5)


def draw(
    image: Image.Image,
    explanation: Explanation | None,
    *,
    label: str,
    predicted: str,
    layout: str = "side-by-side",
    side: int = 512,
    scale: Scale | None = None,
) -> Image.Image:
    """A panel: the labels, one or two pictures with captions, and a legend of the heat.

    Args:
        image: RGB, of any size.
        explanation: where the classifier looked; None draws the image alone.
        label: name of the true class.
        predicted: name of the predicted class.
        layout: a name from `LAYOUTS`; wide images stand above each other in "side-by-side".
        side: width of the panel in pixels; no picture is higher than this.
        scale: raw values of the coldest and the hottest colour; None takes them from this map.

    Returns:
        The panel, RGB. A map that says nothing is drawn as "no signal", what the model did not see is hatched.

    Raises:
        DataError: an unknown layout, a side below 128 or an impossible scale.
    """
    if layout not in LAYOUTS:
        raise DataError(f"panel: unknown layout {layout!r}. {nearest(layout, LAYOUTS)}")
    if side < _LEAST_SIDE:
        raise DataError(f"panel: side must be at least {_LEAST_SIDE} pixels, got {side}")
    check_scale(scale)
    kinds = LAYOUTS[layout if explanation is not None else "image-only"]
    measures = _Measures(side)
    beside = len(kinds) if image.width < _WIDE * image.height else 1
    width = (side - measures.gap * (beside + 1)) // beside
    fitted = fit(image, width, side)
    heat = Heat.of(explanation, fitted.size, scale) if explanation is not None else None
    pictures = {caption: kind(fitted, heat) for caption, kind in kinds.items()}
    parts = [_header(measures, label, predicted), _body(measures, pictures, beside)]
    if explanation is not None and any(kind is not plain for kind in kinds.values()):
        parts.append(_legend(measures, explanation.method, heat))
    return _stack(parts)


def _header(measures: _Measures, label: str, predicted: str) -> Image.Image:
    strip = Image.new("RGB", (measures.side, measures.line + measures.gap), "white")
    pen = ImageDraw.Draw(strip)
    half = measures.side // 2
    colour = _RIGHT if label == predicted else _WRONG
    for x, word, name, ink in ((0, "label", label, _INK), (half, "predicted", predicted, colour)):
        start, middle = x + measures.gap, strip.height / 2
        letters = font(measures.text)
        pen.text((start, middle), f"{word}:", fill=_PALE, font=letters, anchor="lm")
        start += round(pen.textlength(f"{word}:", font=letters)) + measures.gap
        room = x + half - measures.gap - start
        pen.text((start, middle), shorten(pen, name, letters, room), fill=ink, font=letters, anchor="lm")
    return strip


def _body(measures: _Measures, pictures: Mapping[str, Image.Image], beside: int) -> Image.Image:
    """The pictures with their captions, side by side or above each other, centred."""
    width = (measures.side - measures.gap * (beside + 1)) // beside
    blocks = [_captioned(measures, caption, picture, width) for caption, picture in pictures.items()]
    if beside == 1:
        return _stack([_padded(block, measures) for block in blocks])
    row = Image.new("RGB", (measures.side, blocks[0].height), "white")
    for number, block in enumerate(blocks):
        row.paste(block, (measures.gap + number * (width + measures.gap), 0))
    return row


def _captioned(measures: _Measures, caption: str, picture: Image.Image, width: int) -> Image.Image:
    block = Image.new("RGB", (width, picture.height + measures.line), "white")
    left = (width - picture.width) // 2
    block.paste(picture, (left, 0))
    centre = (width / 2, picture.height + measures.line / 2)
    letters = font(round(measures.text * 0.85))
    pen = ImageDraw.Draw(block)
    pen.text(centre, shorten(pen, caption, letters, width), fill=_PALE, font=letters, anchor="mm")
    return block


def _legend(measures: _Measures, method: str, heat: Heat | None) -> Image.Image:
    """The method's name, and the colours with the raw values they stand for."""
    strip = Image.new("RGB", (measures.side, measures.line + measures.gap), "white")
    pen, letters, middle = ImageDraw.Draw(strip), font(round(measures.text * 0.85)), strip.height // 2
    half = measures.side // 2
    pen.text(
        (measures.gap, middle),
        shorten(pen, method, letters, half - measures.gap),
        fill=_PALE,
        font=letters,
        anchor="lm",
    )
    if heat is None:
        return strip
    low, high = (f"{value:.2g}" for value in heat.scale)
    high = f"> {high}" if heat.clipped else high
    right = measures.side - measures.gap - round(pen.textlength(high, font=letters))
    left = half + round(pen.textlength(low, font=letters)) + measures.gap
    pen.text((half, middle), low, fill=_PALE, font=letters, anchor="lm")
    pen.text((right, middle), high, fill=_PALE, font=letters, anchor="lm")
    strip.paste(_bar(right - left - measures.gap, measures.text), (left, middle - measures.text // 2))
    return strip if not heat.unseen.any() else _stack([strip, _unseen_line(measures)])


def _bar(width: int, height: int) -> Image.Image:
    steps = np.linspace(0, 255, max(2, width)).astype(np.uint8)
    return Image.fromarray(np.repeat(colour_table()[steps][None], height, axis=0))


def _unseen_line(measures: _Measures) -> Image.Image:
    strip = Image.new("RGB", (measures.side, measures.line), "white")
    half, size = measures.side // 2, measures.text
    strip.paste(Image.fromarray(stripes(size, 2 * size)), (half, (strip.height - size) // 2))
    words = (half + 2 * size + measures.gap, strip.height // 2)
    ImageDraw.Draw(strip).text(words, "not seen by the model", fill=_PALE, font=font(round(size * 0.85)), anchor="lm")
    return strip


def _padded(block: Image.Image, measures: _Measures) -> Image.Image:
    strip = Image.new("RGB", (measures.side, block.height), "white")
    strip.paste(block, (measures.gap, 0))
    return strip


def _stack(parts: Sequence[Image.Image]) -> Image.Image:
    panel = Image.new("RGB", (parts[0].width, sum(part.height for part in parts)), "white")
    top = 0
    for part in parts:
        panel.paste(part, (0, top))
        top += part.height
    return panel
