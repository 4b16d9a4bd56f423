"""Text in a picture: Pillow's own font, cut to the room there is."""

from __future__ import annotations

from functools import lru_cache

from PIL import ImageDraw, ImageFont

PALE = (95, 95, 95)
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@lru_cache(maxsize=32)
def font(size: int) -> Font:
    """Pillow's built-in font."""
    return ImageFont.load_default(size)


def shorten(pen: ImageDraw.ImageDraw, text: str, letters: Font, width: float) -> str:
    """The text, or as much of its beginning as fits into `width` pixels, with an ellipsis."""
    line = " ".join(text.split())
    if pen.textlength(line, font=letters) <= width:
        return line
    while line and pen.textlength(f"{line}…", font=letters) > width:
        line = line[:-1]
    return f"{line.rstrip()}…"
