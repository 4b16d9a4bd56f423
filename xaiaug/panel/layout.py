"""Sizes, fonts and stacking of the parts of a panel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

PALE = (95, 95, 95)
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_NARROW = 320


@dataclass(frozen=True)
class Sizes:
    """Sizes in pixels, all derived from the side of a panel."""

    side: int

    @property
    def text(self) -> int:
        """Height of the letters."""
        return max(11, round(self.side / 32))

    @property
    def gap(self) -> int:
        """Between two parts."""
        return max(4, round(self.side / 64))

    @property
    def line(self) -> int:
        """Height of a line of text."""
        return round(self.text * 1.5)

    @property
    def narrow(self) -> bool:
        """Whether two texts do not fit side by side."""
        return self.side < _NARROW

    @property
    def half(self) -> int:
        """Width of a text: half the panel, or all of a narrow one."""
        return self.side if self.narrow else self.side // 2


def stack(parts: Sequence[Image.Image]) -> Image.Image:
    """The parts, one below the other, on white, as wide as the first."""
    panel = Image.new("RGB", (parts[0].width, sum(part.height for part in parts)), "white")
    top = 0
    for part in parts:
        panel.paste(part, (0, top))
        top += part.height
    return panel


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
