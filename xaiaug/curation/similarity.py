"""What is remembered of a synthetic image, to tell whether another one repeats it."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..data import Fingerprint
from ..data.fingerprint import MIDDLE
from ..data.near_duplicates import MIN_CORRELATION, correlation

_SIDE = 32
# Measured on photographs: JPEG at quality 30, WebP at 20 and halving change at most 6 grey levels (root mean square at
# 32 pixels); other light, another hue or a crop change more, and are what a new training image may be about.
MAX_CHANGE = 6.0
# Wider than for leaks: hashes of smooth images tremble under compression, and the colours confirm anyway.
MAX_DISTANCE = 10


@dataclass(frozen=True, eq=False)
class ImageSignature:
    """A fingerprint, and the colours at 32 x 32.

    Attributes:
        fingerprint: what the image looks like.
        colours: 32 32 3, uint8.
    """

    fingerprint: Fingerprint
    colours: NDArray[np.uint8]

    @classmethod
    def of(cls, image: Image.Image) -> ImageSignature:
        """The portrait of an RGB image."""
        return cls(Fingerprint.of(image), colours_of(image))

    def to_text(self) -> str:
        """One word, for a ledger: about 3 kB."""
        packed = base64.b64encode(zlib.compress(self.colours.tobytes(), 9)).decode()
        return f"{self.fingerprint.to_text()}-{packed}"

    @classmethod
    def from_text(cls, text: str) -> ImageSignature:
        """The portrait that `to_text` wrote."""
        fingerprint, packed = text.rsplit("-", 1)
        values = np.frombuffer(zlib.decompress(base64.b64decode(packed)), dtype=np.uint8)
        return cls(Fingerprint.from_text(fingerprint), values.reshape(_SIDE, _SIDE, 3))


def colours_of(image: Image.Image, box: tuple[float, float, float, float] | None = None) -> NDArray[np.uint8]:
    """The colours of an RGB image, or of a box in it (left, top, right, bottom), at 32 x 32: h w c, uint8."""
    return np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS, box=box))


def similarity_of(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Correlation of two images' colours, -1 to 1; 0 where light or colour differ by more than `MAX_CHANGE`.

    Stricter than grey correlation on purpose: an image that was only recoloured or relit is a new one.
    """
    change = float(np.sqrt(np.mean((one.astype(np.float64) - other) ** 2)))
    return correlation(one, other) if change <= MAX_CHANGE else 0.0


def repeats(similarity: float) -> bool:
    """Whether images of this likeness show the same."""
    return similarity > MIN_CORRELATION


Colours = NDArray[np.uint8]

# What keeps four fifths of an image's width and height has the middle three fifths in it, wherever it was cut out.
SHARES = (0.95, 0.9, 0.85, 0.8)
STEP = 0.025  # between the places where a middle is looked for, in sides of the image
# Measured on photographs: the middle of an image and the same middle in a compressed crop of it differ in at most 10.
MAX_MIDDLE_DISTANCE = 10
MOST = 8  # images that are opened for one new image: those with the nearest middles
SIDE = 64  # pixels of an image that is opened to be compared, at most
_FINER = (0.025, 0.0125, 0.006, 0.003)  # steps in which a crop is laid upon its image
_FAR = 5 * MAX_CHANGE  # between two places a crop changes by less, as a root mean square
_GREY = (0.299, 0.587, 0.114)
_FREQUENCIES = 8
_BLOCK = 8


@dataclass(frozen=True)
class Cut:
    """Which part of an image a crop is.

    Attributes:
        left: where it begins, in widths of the image.
        top: where it begins, in heights of the image.
        share: of the image's width, and of its height.
    """

    left: float
    top: float
    share: float

    def of(self, image: Image.Image) -> Colours | None:
        """The colours of that part of an RGB image, 32 32 3; None where it reaches over the edge."""
        right, bottom, (width, height) = self.left + self.share, self.top + self.share, image.size
        if min(self.left, self.top) < 0 or max(right, bottom) > 1:
            return None
        return colours_of(image, (self.left * width, self.top * height, right * width, bottom * height))

    def near(self, step: float) -> Iterator[Cut]:
        """This part, and those that are a step away."""
        for right, down, more in product((0.0, -step, step), repeat=3):
            yield Cut(self.left + right, self.top + down, self.share + more)


def likely(colours: Colours, middles: NDArray[np.uint64]) -> Iterator[tuple[int, Cut]]:
    """The images that something may be cut out of, by index, the likeliest first, and where.

    Args:
        colours: of what may be a crop, h w 3.
        middles: hashes of the images' middles, n.
    """
    cuts, hashes = _middles_in(colours)
    nearest = np.full(len(middles), 64, np.uint8)
    for start in range(0, len(hashes), _BLOCK):  # a block at a time stays in the processor's cache
        found = np.bitwise_count(hashes[start : start + _BLOCK, None] ^ middles)
        np.minimum(nearest, found.min(axis=0), out=nearest)
    close = np.flatnonzero(nearest <= MAX_MIDDLE_DISTANCE)
    for index in map(int, close[np.argsort(nearest[close], kind="stable")][:MOST]):
        yield index, cuts[int(np.bitwise_count(hashes ^ middles[index]).argmin())]


def laid_upon(image: Image.Image, cut: Cut, colours: Colours) -> float:
    """How like these colours, 32 32 3, the part of an image is that fits them best near a cut: -1 to 1."""
    best = cut
    if _change(image, best, colours) > _FAR:
        return 0.0
    for step in _FINER:
        best = min(best.near(step), key=lambda near: _change(image, near, colours))
    part = best.of(image)
    return 0.0 if part is None else similarity_of(colours, part)


def _change(image: Image.Image, cut: Cut, colours: Colours) -> float:
    part = cut.of(image)
    return np.inf if part is None else float(np.sqrt(np.square(part.astype(np.float32) - colours).mean()))


def _middles_in(colours: Colours) -> tuple[list[Cut], NDArray[np.uint64]]:
    """Every way these may have been cut out of an image, and the hash of that image's middle then."""
    grey, cuts, hashes = colours @ np.array(_GREY), [], []
    for share in SHARES:
        offsets, waves = _places(share, len(grey))
        found = np.einsum("afh,hw,bgw->abfg", waves, grey, waves, optimize=True).reshape(-1, _FREQUENCIES**2)
        bits = found > np.median(found, axis=1, keepdims=True)
        hashes.append(np.packbits(bits, axis=1).view(">u8").ravel().astype(np.uint64))
        cuts += [Cut(left, top, share) for top, left in product(offsets, repeat=2)]
    return cuts, np.concatenate(hashes)


@cache
def _places(share: float, side: int) -> tuple[tuple[float, ...], NDArray[np.float64]]:
    """Where along a side of its image a crop may begin; for each the waves of a cosine transform over that image's
    middle, on the pixels of the crop: n 8 side."""
    offsets = np.linspace(0, 1 - share, 1 + round((1 - share) / STEP))
    starts, length = (((1 - MIDDLE) / 2 - offsets) / share)[:, None, None], MIDDLE / share
    edges = np.clip((np.arange(side + 1) / side - starts) / length, 0, 1)
    centres = (edges[..., 1:] + edges[..., :-1]) / 2
    return tuple(map(float, offsets)), np.diff(edges) * np.cos(np.pi * np.arange(_FREQUENCIES)[:, None] * centres)
