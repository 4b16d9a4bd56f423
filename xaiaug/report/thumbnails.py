"""Small pictures inside the page, as data URIs under a budget of bytes."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from .. import panel
from ..records import Explanation

# What Pillow and a blob folder raise for a picture that is missing, cut short or not a picture.
UNREADABLE = (OSError, EOFError, LookupError, ValueError, SyntaxError, Image.DecompressionBombError)


@dataclass(frozen=True)
class Thumbnail:
    """A picture ready for `<img>`; without `uri` it says in `missing` why there is none.

    Attributes:
        width, height: the size it is shown in, in pixels.
    """

    uri: str = ""
    width: int = 0
    height: int = 0
    missing: str = ""


class Thumbnails:
    """Makes thumbnails until the budget is spent; the same calls in the same order give the same pictures."""

    def __init__(
        self, blob: Callable[[str], bytes], budget: int = 11_000_000, scale: panel.Scale | None = None
    ) -> None:
        """Draws nothing yet.

        Args:
            blob: the bytes of a blob, by name.
            budget: most characters of data URIs on the page.
            scale: raw values of the coldest and the hottest colour of every heatmap; None: each has its own.
        """
        self._blob = blob
        self._scale = scale
        self._left = budget
        self.left_out = 0

    def __call__(self, name: str, side: int) -> Thumbnail:
        """The blob's picture, its longer side at most `side` pixels."""
        return self._thumbnail(lambda: _open(self._blob(name)), side)

    def overlay(self, image: str, heatmap: str | None, side: int) -> Thumbnail:
        """A heatmap blob over an image blob, the longer side at most `side` pixels; None: "no signal"."""
        return self._thumbnail(lambda: self._overlay(image, heatmap, side), side)

    def _overlay(self, image: str, heatmap: str | None, side: int) -> Image.Image:
        explanation = None if heatmap is None else read_heatmap(self._blob(heatmap))
        return overlay(_shrink(_open(self._blob(image)), side), explanation, self._scale)

    def _thumbnail(self, make: Callable[[], Image.Image], side: int) -> Thumbnail:
        if self._left <= 0:
            self.left_out += 1
            return Thumbnail(missing="left out to keep the page small")
        try:
            picture = _embed(_shrink(make(), side), side)
        except UNREADABLE:
            return Thumbnail(missing="picture cannot be read")
        self._left -= len(picture.uri)
        return picture


def read_heatmap(data: bytes) -> Explanation:
    """The raw map, h w, in the bytes of a heatmap blob (numpy's format).

    Raises:
        ValueError: the bytes are not a map.
    """
    return Explanation(np.load(io.BytesIO(data), allow_pickle=False), "", 0, class_specific=False)


def overlay(image: Image.Image, explanation: Explanation | None, scale: panel.Scale | None) -> Image.Image:
    """The heatmap over the image as on a panel; odd values in a damaged map are drawn, not warned of."""
    with np.errstate(all="ignore"):
        return panel.overlay_heatmap(image, explanation, scale)


def run_scale(settings: Mapping[str, Any], heatmaps: Iterable[str], blob: Callable[[str], bytes]) -> panel.Scale | None:
    """The colour scale that all heatmaps share, as the critic's panels do.

    Args:
        settings: of the run.
        heatmaps: blobs of the maps that are not constant.
        blob: the bytes of a blob, by name; a map that cannot be read is left out.

    Returns:
        Raw values of the coldest and the hottest colour; None unless the settings say `[panel] scale = "run"`.
    """
    table = settings.get("panel")
    if not isinstance(table, Mapping) or table.get("scale") != "run":
        return None
    with np.errstate(all="ignore"):
        return panel.shared_scale(_read_or_none(name, blob) for name in heatmaps)


def _read_or_none(name: str, blob: Callable[[str], bytes]) -> Explanation | None:
    try:
        return read_heatmap(blob(name))
    except UNREADABLE:
        return None


def _open(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as opened:
        return opened.convert("RGB")


def _shrink(image: Image.Image, side: int) -> Image.Image:
    image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return image


def _embed(image: Image.Image, side: int) -> Thumbnail:
    # A drawn image of 64 pixels is shown as large as a photograph; the browser enlarges it.
    width, height = (max(1, round(length * side / max(image.size))) for length in image.size)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=80, method=2)
    return Thumbnail("data:image/webp;base64," + base64.b64encode(out.getvalue()).decode(), width, height)
