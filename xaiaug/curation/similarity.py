"""Near-duplicates by hashes and colours: copies, and crops that keep four fifths of a side."""

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

Colours = NDArray[np.uint8]

_SIDE = 32
# Measured on photographs: JPEG at quality 30, WebP at 20 and halving change at most 6 grey levels (root mean square at
# 32 pixels); other light, another hue or a crop change more, and a new training image may differ in just these.
MAX_CHANGE = 6.0
# Wider than for leaks: compression flips bits in the hashes of smooth images, and the colours confirm anyway.
MAX_DISTANCE = 10

# A crop with four fifths of an image's width and height contains the image's middle three fifths, wherever it lies.
SHARES = (0.95, 0.9, 0.85, 0.8)
STEP = 0.025  # between the places where a middle is looked for, in sides of the image
# Measured on photographs: the middle of an image and the same middle in a compressed crop of it differ in at most 10.
MAX_MIDDLE_DISTANCE = 10
MOST = 8  # images opened for each new image: those with the nearest middles
SIDE = 64  # longer side, in pixels, of an image opened for comparison
_FINER = (0.025, 0.0125, 0.006, 0.003)  # step sizes of the alignment of a crop
_FAR = 5 * MAX_CHANGE  # moving a crop by one step changes less than this (root mean square)
_GREY = (0.299, 0.587, 0.114)
_FREQUENCIES = 8
_BLOCK = 8


@dataclass(frozen=True, eq=False)
class ImageSignature:
    """A fingerprint, and the colours at 32 x 32.

    Attributes:
        fingerprint: perceptual hashes of the image.
        colours: 32 32 3, uint8.
    """

    fingerprint: Fingerprint
    colours: Colours

    @classmethod
    def of(cls, image: Image.Image) -> ImageSignature:
        """The signature of an RGB image."""
        return cls(Fingerprint.of(image), colours_of(image))

    def to_text(self) -> str:
        """One word of about 3 kB, for the ledger."""
        packed = base64.b64encode(zlib.compress(self.colours.tobytes(), 9)).decode()
        return f"{self.fingerprint.to_text()}-{packed}"

    @classmethod
    def from_text(cls, text: str) -> ImageSignature:
        """The signature that `to_text` wrote."""
        fingerprint, packed = text.rsplit("-", 1)
        values = np.frombuffer(zlib.decompress(base64.b64decode(packed)), dtype=np.uint8)
        return cls(Fingerprint.from_text(fingerprint), values.reshape(_SIDE, _SIDE, 3))


def colours_of(image: Image.Image, box: tuple[float, float, float, float] | None = None) -> Colours:
    """The colours of an RGB image, or of a box in it (left, top, right, bottom), at 32 x 32: 32 32 3, uint8."""
    return np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS, box=box))


def similarity_of(one: Colours, other: Colours) -> float:
    """Correlation of two images' colours, -1 to 1; 0 if light or colour differ by more than `MAX_CHANGE`.

    Stricter than grey correlation on purpose: an image with other colours or light is a new one.
    """
    change = float(np.sqrt(np.mean((one.astype(np.float64) - other) ** 2)))
    return correlation(one, other) if change <= MAX_CHANGE else 0.0


def is_repeat(similarity: float) -> bool:
    """Whether images of this similarity show the same."""
    return similarity > MIN_CORRELATION


@dataclass(frozen=True)
class Crop:
    """Which part of an image a crop shows.

    Attributes:
        left: where it begins, in widths of the image.
        top: where it begins, in heights of the image.
        share: of the image's width, and of its height.
    """

    left: float
    top: float
    share: float

    def colours(self, image: Image.Image) -> Colours | None:
        """The colours of that part of an RGB image, 32 32 3; None if it reaches over the edge."""
        right, bottom, (width, height) = self.left + self.share, self.top + self.share, image.size
        if min(self.left, self.top) < 0 or max(right, bottom) > 1:
            return None
        return colours_of(image, (self.left * width, self.top * height, right * width, bottom * height))

    def neighbours(self, step: float) -> Iterator[Crop]:
        """This crop, and those that differ from it by one step."""
        for right, down, more in product((0.0, -step, step), repeat=3):
            yield Crop(self.left + right, self.top + down, self.share + more)


def find_crops(colours: Colours, middles: NDArray[np.uint64]) -> Iterator[tuple[int, Crop]]:
    """The images that these colours may be a crop of, by index, the likeliest first, and which crop.

    Args:
        colours: of the possible crop, 32 32 3.
        middles: hashes of the images' middles, n.
    """
    crops, hashes = _hash_middles(colours)
    nearest = np.full(len(middles), 64, np.uint8)
    for start in range(0, len(hashes), _BLOCK):  # one block at a time stays in the processor's cache
        distances = np.bitwise_count(hashes[start : start + _BLOCK, None] ^ middles)
        np.minimum(nearest, distances.min(axis=0), out=nearest)
    close = np.flatnonzero(nearest <= MAX_MIDDLE_DISTANCE)
    for index in map(int, close[np.argsort(nearest[close], kind="stable")][:MOST]):
        yield index, crops[int(np.bitwise_count(hashes ^ middles[index]).argmin())]


def align_crop(image: Image.Image, crop: Crop, colours: Colours) -> float:
    """Similarity, -1 to 1, of these colours, 32 32 3, and the part of the image near `crop` that fits them best."""
    best = crop
    if _colour_change(image, best, colours) > _FAR:
        return 0.0
    for step in _FINER:
        best = min(best.neighbours(step), key=lambda near: _colour_change(image, near, colours))
    part = best.colours(image)
    return 0.0 if part is None else similarity_of(colours, part)


def _colour_change(image: Image.Image, crop: Crop, colours: Colours) -> float:
    part = crop.colours(image)
    return np.inf if part is None else float(np.sqrt(np.square(part.astype(np.float32) - colours).mean()))


def _hash_middles(colours: Colours) -> tuple[list[Crop], NDArray[np.uint64]]:
    """Every crop of some image that the colours may be, and for each the hash of that image's middle."""
    grey, crops, hashes = colours @ np.array(_GREY), [], []
    for share in SHARES:
        offsets, waves = _middle_transforms(share, len(grey))
        spectra = np.tensordot(waves @ grey, waves, axes=(2, 2)).transpose(0, 2, 1, 3).reshape(-1, _FREQUENCIES**2)
        bits = spectra > np.median(spectra, axis=1, keepdims=True)
        hashes.append(np.packbits(bits, axis=1).view(">u8").ravel().astype(np.uint64))
        crops += [Crop(left, top, share) for top, left in product(offsets, repeat=2)]
    return crops, np.concatenate(hashes)


@cache
def _middle_transforms(share: float, side: int) -> tuple[tuple[float, ...], NDArray[np.float64]]:
    """Where along a side of its image a crop may begin, and for each a cosine transform of that image's middle.

    Returns:
        The offsets, n; the waves on the pixels of the crop, n 8 side.
    """
    offsets = np.linspace(0, 1 - share, 1 + round((1 - share) / STEP))
    starts, length = (((1 - MIDDLE) / 2 - offsets) / share)[:, None, None], MIDDLE / share
    edges = np.clip((np.arange(side + 1) / side - starts) / length, 0, 1)
    centres = (edges[..., 1:] + edges[..., :-1]) / 2
    return tuple(map(float, offsets)), np.diff(edges) * np.cos(np.pi * np.arange(_FREQUENCIES)[:, None] * centres)
