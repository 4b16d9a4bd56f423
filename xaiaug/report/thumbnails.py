"""Thumbnails on the page, as data URIs within a size limit; and heatmaps over images, drawn by `panel`."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from .. import panel
from ..files import parse_array, parse_image
from ..records import Explanation

# Raised by Pillow and the blob folder for a picture that is missing, truncated or not a picture.
_FORMATS = ("PNG", "JPEG", "WEBP")
UNREADABLE = (OSError, EOFError, LookupError, ValueError, SyntaxError, Image.DecompressionBombError)


@dataclass(frozen=True)
class Thumbnail:
    """A picture ready for `<img>`; if `uri` is empty, `missing` gives the reason.

    Attributes:
        width, height: displayed size in pixels.
    """

    uri: str = ""
    width: int = 0
    height: int = 0
    missing: str = ""


class Thumbnails:
    """Makes thumbnails until the size limit is reached; the same calls in the same order give the same pictures."""

    def __init__(self, blob: Callable[[str], bytes], limit: int = 11_000_000, scale: panel.Scale | None = None) -> None:
        """Draws nothing yet.

        Args:
            blob: the bytes of a blob, by name.
            limit: most characters of data URIs on the page.
            scale: raw values of the coldest and the hottest colour of every heatmap; None: each has its own.
        """
        self._blob = blob
        self._scale = scale
        self._left = limit
        self.left_out = 0

    def __call__(self, name: str, side: int) -> Thumbnail:
        """The picture in a blob, with a longer side of at most `side` pixels."""
        return self._thumbnail(lambda: parse_image(self._blob(name), _FORMATS), side)

    def overlay(self, image: str, heatmap: str | None, side: int) -> Thumbnail:
        """A heatmap blob over an image blob, with a longer side of at most `side` pixels; None shows "no signal"."""
        return self._thumbnail(lambda: self._overlay(image, heatmap, side), side)

    def _overlay(self, image: str, heatmap: str | None, side: int) -> Image.Image:
        explanation = None if heatmap is None else read_heatmap(self._blob(heatmap))
        return overlay(_shrink(parse_image(self._blob(image), _FORMATS), side), explanation, self._scale)

    def _thumbnail(self, make: Callable[[], Image.Image], side: int) -> Thumbnail:
        if self._left <= 0:
            self.left_out += 1
            return Thumbnail(missing="left out to limit the size of the page")
        try:
            picture = _embed(_shrink(make(), side), side)
        except UNREADABLE:
            return Thumbnail(missing="cannot be read")
        self._left -= len(picture.uri)
        return picture


def read_heatmap(data: bytes) -> Explanation:
    """The raw map, h w, in the bytes of a heatmap blob (numpy's format).

    Raises:
        ValueError: the bytes are not a map.
    """
    return Explanation(parse_array(data), "", 0, class_specific=False)


def overlay(image: Image.Image, explanation: Explanation | None, scale: panel.Scale | None) -> Image.Image:
    """The heatmap over the image as on a panel; extreme values in a damaged map raise no warning."""
    with np.errstate(all="ignore"):
        return panel.overlay_heatmap(image, explanation, scale)


def run_scale(settings: Mapping[str, Any], heatmaps: Iterable[str], blob: Callable[[str], bytes]) -> panel.Scale | None:
    """The colour scale that all heatmaps of a run share, as the critic's panels do.

    Args:
        settings: of the run.
        heatmaps: blobs of the maps that are not constant.
        blob: the bytes of a blob, by name; maps that cannot be read are skipped.

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


def _shrink(image: Image.Image, side: int) -> Image.Image:
    image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return image


def _embed(image: Image.Image, side: int) -> Thumbnail:
    # An image of 64 pixels is displayed as large as a photograph; the browser enlarges it.
    width, height = (max(1, round(length * side / max(image.size))) for length in image.size)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=80, method=2)
    return Thumbnail("data:image/webp;base64," + base64.b64encode(out.getvalue()).decode(), width, height)
