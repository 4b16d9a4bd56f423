"""What is remembered of a synthetic image, to tell whether another one repeats it."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..data import Fingerprint
from ..data.near import MIN_CORRELATION, correlation

_SIDE = 32
# Measured on photographs: JPEG at quality 30, WebP at 20 and halving change at most 6 grey levels (root mean square at
# 32 pixels); other light, another hue or a crop change more, and are what a new training image may be about.
MAX_CHANGE = 6.0
# Wider than for leaks: hashes of smooth images tremble under compression, and the colours confirm anyway.
MAX_DISTANCE = 10


@dataclass(frozen=True, eq=False)
class Portrait:
    """A fingerprint, and the colours at 32 x 32.

    Attributes:
        fingerprint: what the image looks like.
        colours: 32 32 3, uint8.
    """

    fingerprint: Fingerprint
    colours: NDArray[np.uint8]

    @classmethod
    def of(cls, image: Image.Image) -> Portrait:
        """The portrait of an RGB image."""
        return cls(Fingerprint.of(image), colours_of(image))

    def to_text(self) -> str:
        """One word, for a ledger: about 3 kB."""
        packed = base64.b64encode(zlib.compress(self.colours.tobytes(), 9)).decode()
        return f"{self.fingerprint.to_text()}-{packed}"

    @classmethod
    def from_text(cls, text: str) -> Portrait:
        """The portrait that `to_text` wrote."""
        fingerprint, packed = text.rsplit("-", 1)
        values = np.frombuffer(zlib.decompress(base64.b64decode(packed)), dtype=np.uint8)
        return cls(Fingerprint.from_text(fingerprint), values.reshape(_SIDE, _SIDE, 3))


def colours_of(image: Image.Image, box: tuple[float, float, float, float] | None = None) -> NDArray[np.uint8]:
    """The colours of an RGB image, or of a box in it (left, top, right, bottom), at 32 x 32: h w c, uint8."""
    return np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS, box=box))


def likeness(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Correlation of two images' colours, -1 to 1; 0 where light or colour differ by more than `MAX_CHANGE`.

    Stricter than grey correlation on purpose: an image that was only recoloured or relit is a new one.
    """
    change = float(np.sqrt(np.mean((one.astype(np.float64) - other) ** 2)))
    return correlation(one, other) if change <= MAX_CHANGE else 0.0


def repeats(similarity: float) -> bool:
    """Whether images of this likeness show the same."""
    return similarity > MIN_CORRELATION
