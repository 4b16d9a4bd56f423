"""Rows of correctly classified images below a panel or a sheet, so that a critic sees what is usual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw

from .layout import PALE, Sizes, font, shorten
from .overlays import fit_image

MOST_REFERENCES = 6  # in a row
FEWEST_CELLS = 3  # of a row's width: a lone image is not as large as the mistake
_INK = (25, 25, 25)


def draw_references(sizes: Sizes, width: int, references: Mapping[str, Sequence[Image.Image]]) -> list[Image.Image]:
    """A line, and for each class a caption and a row of its images; nothing where there are none.

    Args:
        sizes: of the panel.
        width: in pixels.
        references: images by name of the class; at most six of each are shown.
    """
    shown = {label: images[:MOST_REFERENCES] for label, images in references.items() if images}
    cells = max([FEWEST_CELLS, *map(len, shown.values())])
    parts = [draw_line(sizes, width)] if shown else []
    for label, images in shown.items():
        parts.append(write_line(sizes, width, f"correctly classified as {label}:"))
        parts.append(draw_row(sizes, width, images, cells))
    return parts


def draw_row(sizes: Sizes, width: int, images: Sequence[Image.Image], cells: int) -> Image.Image:
    """Images beside each other, each within one of so many cells."""
    inner = (width - sizes.gap * (cells + 1)) // cells
    fitted = [fit_image(image, inner, inner)[0] for image in images]
    height = max(image.height for image in fitted)
    row = Image.new("RGB", (width, height + sizes.gap), "white")
    for place, image in enumerate(fitted):
        left = sizes.gap + place * (inner + sizes.gap)
        row.paste(image, (left + (inner - image.width) // 2, (height - image.height) // 2))
    return row


def draw_line(sizes: Sizes, width: int) -> Image.Image:
    """A line across the panel."""
    line = Image.new("RGB", (width, sizes.gap), "white")
    ImageDraw.Draw(line).line((sizes.gap, 1, width - sizes.gap, 1), fill=PALE)
    return line


def write_line(sizes: Sizes, width: int, text: str, ink: tuple[int, int, int] = _INK) -> Image.Image:
    """A line of text, shortened to the width."""
    strip = Image.new("RGB", (width, sizes.line), "white")
    pen, letters = ImageDraw.Draw(strip), font(sizes.text)
    words = shorten(pen, text, letters, width - 2 * sizes.gap)
    pen.text((sizes.gap, sizes.line // 2), words, fill=ink, font=letters, anchor="lm")
    return strip
