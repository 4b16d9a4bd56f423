"""Draws a panel: class names, pictures with captions, and a legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw

from ..errors import DataError, suggest
from ..records import Explanation
from .colormap import Heat, Scale, check_scale
from .layout import PALE, Sizes, font, shorten, stack
from .legend import draw_legend
from .overlays import Renderer, draw_heatmap, draw_image, draw_masked, draw_overlay, fit_image
from .reference_rows import draw_references

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
    references: Mapping[str, Sequence[Image.Image]] | None = None,
) -> Image.Image:
    """A panel: the class names, one or two pictures with captions, and a legend of the heatmap; references below.

    Args:
        image: RGB, of any size.
        explanation: where the classifier looked; None draws the image alone.
        label: name of the true class.
        predicted: name of the predicted class.
        layout: a name from `LAYOUTS`; "side-by-side" puts wide images one below the other.
        side: width of the panel in pixels; no picture is taller.
        scale: raw values of the coldest and the hottest colour; None takes them from this map.
        references: correctly classified images by name of their class, at most six of each; None or empty: none.

    Returns:
        The panel, RGB. A constant map is drawn as "no signal"; what the model did not see is hatched.

    Raises:
        DataError: an unknown layout, a side below 128 or an impossible scale.
    """
    if layout not in LAYOUTS:
        raise DataError(f"panel: unknown layout {layout!r}. {suggest(layout, LAYOUTS)}")
    if side < _LEAST_SIDE:
        raise DataError(f"panel: side must be at least {_LEAST_SIDE} pixels, got {side}")
    check_scale(scale)
    renderers = LAYOUTS[layout if explanation is not None else "image-only"]
    sizes = Sizes(side)
    columns = len(renderers) if image.width < _WIDE * image.height else 1
    width = (side - sizes.gap * (columns + 1)) // columns
    fitted, note = fit_image(image, width, side)
    heat = Heat.of(explanation, fitted.size, scale) if explanation is not None else None
    pictures = {f"{caption}, {note}" if note else caption: draw(fitted, heat) for caption, draw in renderers.items()}
    parts = [_draw_header(sizes, label, predicted), _arrange(sizes, pictures, columns)]
    heated = [renderer for renderer in renderers.values() if renderer is not draw_image]
    if explanation is not None and heated:
        name = f"{explanation.method}, shared scale" if scale else explanation.method
        parts += draw_legend(sizes, name, heat, heated[0])
    return stack([*parts, *draw_references(sizes, side, references or {})])


def _draw_header(sizes: Sizes, label: str, predicted: str) -> Image.Image:
    """Label and prediction side by side, or one below the other if the panel is narrow."""
    colour = _RIGHT if label == predicted else _WRONG
    names = [_draw_name(sizes, "label", label, _INK), _draw_name(sizes, "predicted", predicted, colour)]
    if sizes.narrow:
        return stack(names)
    strip = Image.new("RGB", (sizes.side, names[0].height), "white")
    for number, part in enumerate(names):
        strip.paste(part, (number * (sizes.side // 2), 0))
    return strip


def _draw_name(sizes: Sizes, word: str, name: str, ink: tuple[int, int, int]) -> Image.Image:
    strip = Image.new("RGB", (sizes.half, sizes.line + sizes.gap), "white")
    pen, letters, middle = ImageDraw.Draw(strip), font(sizes.text), strip.height / 2
    pen.text((sizes.gap, middle), f"{word}:", fill=PALE, font=letters, anchor="lm")
    start = 2 * sizes.gap + round(pen.textlength(f"{word}:", font=letters))
    room = strip.width - sizes.gap - start
    pen.text((start, middle), shorten(pen, name, letters, room), fill=ink, font=letters, anchor="lm")
    return strip


def _arrange(sizes: Sizes, pictures: Mapping[str, Image.Image], columns: int) -> Image.Image:
    """The pictures with their captions, in one or two columns, centred."""
    width = (sizes.side - sizes.gap * (columns + 1)) // columns
    blocks = [_add_caption(sizes, caption, picture, width) for caption, picture in pictures.items()]
    if columns == 1:
        return stack([_pad(block, sizes) for block in blocks])
    row = Image.new("RGB", (sizes.side, blocks[0].height), "white")
    for number, block in enumerate(blocks):
        row.paste(block, (sizes.gap + number * (width + sizes.gap), 0))
    return row


def _add_caption(sizes: Sizes, caption: str, picture: Image.Image, width: int) -> Image.Image:
    block = Image.new("RGB", (width, picture.height + sizes.line), "white")
    left = (width - picture.width) // 2
    block.paste(picture, (left, 0))
    centre = (width / 2, picture.height + sizes.line / 2)
    letters = font(round(sizes.text * 0.85))
    pen = ImageDraw.Draw(block)
    pen.text(centre, shorten(pen, caption, letters, width), fill=PALE, font=letters, anchor="mm")
    return block


def _pad(block: Image.Image, sizes: Sizes) -> Image.Image:
    strip = Image.new("RGB", (sizes.side, block.height), "white")
    strip.paste(block, (sizes.gap, 0))
    return strip
