"""Thumbnails on the page, as data URIs within a size limit; and heatmaps over images, drawn by `panel`."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np
from PIL import Image

from .. import panel
from ..files import parse_array, parse_image
from ..records import Explanation

# Raised by Pillow and the blob folder for a picture that is missing, truncated or not a picture.
_FORMATS = ("PNG", "JPEG", "WEBP")
_QUALITY, _EFFORT = 78, 0  # more effort: as many bytes
_THREADS, _CHUNK = 4, 64
UNREADABLE = (OSError, EOFError, LookupError, ValueError, SyntaxError, Image.DecompressionBombError)


@dataclass(frozen=True)
class Thumbnail:
    """A picture of the page; if `uri` is empty, `missing` gives the reason.

    Attributes:
        width, height: displayed size in pixels.
    """

    uri: str = ""
    width: int = 0
    height: int = 0
    missing: str = ""


LEFT_OUT = Thumbnail(missing="left out to limit the size of the page")


class Rank(IntEnum):
    """What is left out last where pictures would exceed the limit of the page, to what is left out first."""

    MISTAKE = 0
    EXAMPLE = 1
    NEW_IMAGE = 2
    PANEL = 3


@dataclass(frozen=True)
class _Order:
    blob: str
    side: int
    rank: Rank
    is_heat: bool = False


class Pictures:
    """The pictures of a page, each once: ordered first, then drawn within the limit of the page.

    The same orders give the same pictures, whatever the number of threads.
    """

    def __init__(self, blob: Callable[[str], bytes], scale: panel.Scale | None = None) -> None:
        """Draws nothing yet.

        Args:
            blob: the bytes of a blob, by name; called from several threads.
            scale: raw values of the coldest and the hottest colour of every heatmap; None: each has its own.
        """
        self._blob = blob
        self._scale = scale
        self._orders: list[_Order] = []
        self._numbers: dict[tuple[str, bool], int] = {}

    def add(self, name: str, side: int, rank: Rank) -> int:
        """The number of the picture in a blob, with a longer side of at least that many pixels if it has as many."""
        return self._add(_Order(name, side, rank))

    def add_heat(self, name: str, side: int) -> int:
        """The number of the colours of a heatmap blob, to be laid over its image in grey."""
        return self._add(_Order(name, side, Rank.MISTAKE, is_heat=True))

    def _add(self, order: _Order) -> int:
        number = self._numbers.setdefault((order.blob, order.is_heat), len(self._orders))
        if number == len(self._orders):
            self._orders.append(order)
        known = self._orders[number]
        self._orders[number] = replace(known, side=max(known.side, order.side), rank=min(known.rank, order.rank))
        return number

    def draw(self, limit: int) -> tuple[Thumbnail, ...]:
        """All pictures by number, until their data URIs have `limit` characters; the last ranks are left out first."""
        found = [LEFT_OUT] * len(self._orders)
        numbers = sorted(range(len(self._orders)), key=lambda number: self._orders[number].rank)
        # Threads that ignore a warning each restore the filters of another; here they are restored as they were.
        with warnings.catch_warnings(), ThreadPoolExecutor(max_workers=_THREADS) as pool:
            for first in range(0, len(numbers), _CHUNK):
                chunk = numbers[first : first + _CHUNK]
                for number, picture in zip(chunk, pool.map(self._draw, chunk), strict=True):
                    if limit <= 0:
                        return tuple(found)
                    found[number] = picture
                    limit -= len(picture.uri)
        return tuple(found)

    def _draw(self, number: int) -> Thumbnail:
        order = self._orders[number]
        try:
            data = self._blob(order.blob)
            image = self._draw_heat(data, order.side) if order.is_heat else parse_image(data, _FORMATS)
            return _embed(image, order.side)
        except UNREADABLE:
            return Thumbnail(missing="cannot be read")

    def _draw_heat(self, data: bytes, side: int) -> Image.Image:
        with np.errstate(all="ignore"):
            layer = panel.draw_heat_layer(read_heatmap(data), side, self._scale)
        if layer is None:
            raise ValueError("a constant map has no colours")
        return layer


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


def _embed(image: Image.Image, side: int) -> Thumbnail:
    image.thumbnail((side, side), Image.Resampling.BICUBIC, reducing_gap=1.1)
    # An image of 64 pixels is displayed as large as a photograph; the browser enlarges it.
    width, height = (max(1, round(length * side / max(image.size))) for length in image.size)
    out = io.BytesIO()
    # JPEG is written six times as fast as WebP, but has no transparency.
    kind, options = ("webp", {"method": _EFFORT}) if image.mode == "RGBA" else ("jpeg", {})
    image.save(out, kind, quality=_QUALITY, **options)
    return Thumbnail(f"data:image/{kind};base64," + base64.b64encode(out.getvalue()).decode(), width, height)
