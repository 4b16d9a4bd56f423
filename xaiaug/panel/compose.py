"""Puts pictures, captions, labels and legend together."""

from __future__ import annotations

from collections.abc import Mapping

from PIL import Image, ImageDraw

from ..errors import DataError, nearest
from ..records import Explanation
from .colormap import Heat, Scale, check_scale
from .layout import PALE, Sizes, font, shorten, stack
from .legend import draw_legend
from .overlays import Renderer, draw_heatmap, draw_image, draw_masked, draw_overlay, fit_image

LAYOUTS: Mapping[str, Mapping[str, Renderer]] = {
    "side-by-side": {"image": draw_image, "heatmap": draw_heatmap},
    "overlay": {"heatmap over image": draw_overlay},
    "masked": {"image where it is hot": draw_masked},
    "image-only": {"image": draw_image},
}
_LEAST_SIDE = 128
_WIDE = 1.8
_INK, _RIGHT, _WRONG = (25, 25, 25), (0, 105, 60), (190, 30, 20)


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
    measures = Sizes(side)
    beside = len(kinds) if image.width < _WIDE * image.height else 1
    width = (side - measures.gap * (beside + 1)) // beside
    fitted, told = fit_image(image, width, side)
    heat = Heat.of(explanation, fitted.size, scale) if explanation is not None else None
    pictures = {f"{caption}, {told}" if told else caption: kind(fitted, heat) for caption, kind in kinds.items()}
    parts = [_draw_header(measures, label, predicted), _arrange(measures, pictures, beside)]
    hot = [kind for kind in kinds.values() if kind is not draw_image]
    if explanation is not None and hot:
        name = f"{explanation.method}, shared scale" if scale else explanation.method
        parts += draw_legend(measures, name, heat, hot[0])
    return stack(parts)


def _draw_header(measures: Sizes, label: str, predicted: str) -> Image.Image:
    """Label and prediction beside each other, or above each other where there is little room."""
    colour = _RIGHT if label == predicted else _WRONG
    told = [_draw_name(measures, "label", label, _INK), _draw_name(measures, "predicted", predicted, colour)]
    if measures.narrow:
        return stack(told)
    strip = Image.new("RGB", (measures.side, told[0].height), "white")
    for number, part in enumerate(told):
        strip.paste(part, (number * (measures.side // 2), 0))
    return strip


def _draw_name(measures: Sizes, word: str, name: str, ink: tuple[int, int, int]) -> Image.Image:
    strip = Image.new("RGB", (measures.half, measures.line + measures.gap), "white")
    pen, letters, middle = ImageDraw.Draw(strip), font(measures.text), strip.height / 2
    pen.text((measures.gap, middle), f"{word}:", fill=PALE, font=letters, anchor="lm")
    start = 2 * measures.gap + round(pen.textlength(f"{word}:", font=letters))
    room = strip.width - measures.gap - start
    pen.text((start, middle), shorten(pen, name, letters, room), fill=ink, font=letters, anchor="lm")
    return strip


def _arrange(measures: Sizes, pictures: Mapping[str, Image.Image], beside: int) -> Image.Image:
    """The pictures with their captions, side by side or above each other, centred."""
    width = (measures.side - measures.gap * (beside + 1)) // beside
    blocks = [_add_caption(measures, caption, picture, width) for caption, picture in pictures.items()]
    if beside == 1:
        return stack([_pad(block, measures) for block in blocks])
    row = Image.new("RGB", (measures.side, blocks[0].height), "white")
    for number, block in enumerate(blocks):
        row.paste(block, (measures.gap + number * (width + measures.gap), 0))
    return row


def _add_caption(measures: Sizes, caption: str, picture: Image.Image, width: int) -> Image.Image:
    block = Image.new("RGB", (width, picture.height + measures.line), "white")
    left = (width - picture.width) // 2
    block.paste(picture, (left, 0))
    centre = (width / 2, picture.height + measures.line / 2)
    letters = font(round(measures.text * 0.85))
    pen = ImageDraw.Draw(block)
    pen.text(centre, shorten(pen, caption, letters, width), fill=PALE, font=letters, anchor="mm")
    return block


def _pad(block: Image.Image, measures: Sizes) -> Image.Image:
    strip = Image.new("RGB", (measures.side, block.height), "white")
    strip.paste(block, (measures.gap, 0))
    return strip
