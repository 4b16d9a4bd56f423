"""Small pictures inside the page, as data URIs under a budget of bytes."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from .heatmaps import overlay

# What Pillow and a blob folder raise for a picture that is missing, cut short or not a picture.
UNREADABLE = (OSError, EOFError, LookupError, ValueError, SyntaxError, Image.DecompressionBombError)


@dataclass(frozen=True)
class Picture:
    """A picture ready for `<img>`; without `uri` it says in `missing` why there is none.

    Attributes:
        width, height: the size it is shown in, in pixels.
    """

    uri: str = ""
    width: int = 0
    height: int = 0
    missing: str = ""


class Pictures:
    """Makes thumbnails until the budget is spent; the same calls in the same order give the same pictures."""

    def __init__(self, blob: Callable[[str], bytes], budget: int = 11_000_000) -> None:
        """Keeps what it needs.

        Args:
            blob: the bytes of a blob, by name.
            budget: most characters of data URIs on the page.
        """
        self._blob = blob
        self._left = budget
        self.left_out = 0

    def __call__(self, name: str, side: int) -> Picture:
        """The blob's picture, its longer side at most `side` pixels."""
        return self._made(lambda: _opened(self._blob(name)), side)

    def overlay(self, image: str, heatmap: str, side: int) -> Picture:
        """The heatmap blob laid over the image blob, its longer side at most `side` pixels."""
        return self._made(lambda: overlay(_shrunk(_opened(self._blob(image)), side), self._blob(heatmap)), side)

    def _made(self, make: Callable[[], Image.Image], side: int) -> Picture:
        if self._left <= 0:
            self.left_out += 1
            return Picture(missing="left out to keep the page small")
        try:
            picture = _embedded(_shrunk(make(), side), side)
        except UNREADABLE:
            return Picture(missing="picture cannot be read")
        self._left -= len(picture.uri)
        return picture


def _opened(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as opened:
        return opened.convert("RGB")


def _shrunk(image: Image.Image, side: int) -> Image.Image:
    image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return image


def _embedded(image: Image.Image, side: int) -> Picture:
    # A drawn image of 64 pixels is shown as large as a photograph; the browser enlarges it.
    width, height = (max(1, round(length * side / max(image.size))) for length in image.size)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=80, method=2)
    return Picture("data:image/webp;base64," + base64.b64encode(out.getvalue()).decode(), width, height)
