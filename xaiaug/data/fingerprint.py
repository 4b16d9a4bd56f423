"""What an image looks like, in a few bytes: enough to find it again, even resized or compressed once more."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ..errors import DataError
from ..records import Sample
from .cache import FactCache, Stamp
from .image_file import Stamped

_HASH_SIDE = 32
MIDDLE = 0.6  # of width and height: what a crop leaves as it was
# Bytes of a file. Below this, threads cost more in taking turns than they gain (measured: twice the processor time).
_LARGE = 100_000


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What is kept of one image to compare it with others.

    Attributes:
        pixels: digest of size and pixels.
        phash: 64-bit perceptual hash: low frequencies of the grey image, as `imagehash.phash` has it.
        mirror: that hash of the image turned left to right.
        middle: that hash of the middle of the image, `MIDDLE` of its width and height.
    """

    pixels: str
    phash: int
    mirror: int
    middle: int

    @classmethod
    def of(cls, image: Image.Image) -> Fingerprint:
        """The fingerprint of an RGB image."""
        grey, side = image.convert("L"), (_HASH_SIDE, _HASH_SIDE)
        small = grey.resize(side, Image.Resampling.LANCZOS)
        middle = grey.resize(side, Image.Resampling.LANCZOS, box=_middle(grey.size))
        return cls(_digest(image), _phash(small), _phash(ImageOps.mirror(small)), _phash(middle))

    def to_text(self) -> str:
        """One word, for a cache or a ledger."""
        return f"{self.pixels}-{self.phash:016x}-{self.mirror:016x}-{self.middle:016x}"

    @classmethod
    def from_text(cls, text: str) -> Fingerprint:
        """The fingerprint that `to_text` wrote."""
        pixels, *hashes = text.split("-")
        phash, mirror, middle = (int(digits, 16) for digits in hashes)
        return cls(pixels, phash, mirror, middle)


def fingerprints(samples: Sequence[Sample]) -> list[Fingerprint | DataError]:
    """The fingerprint of each image, in order, or why it cannot be read.

    Files whose path, size and time of change are known are not read again. Large ones are decoded in threads, for
    decoders let go of the interpreter; no more images are held than there are threads.
    """
    stamps = [_stamp(sample) for sample in samples]
    kinds = {_kind(sample) for sample, stamp in zip(samples, stamps, strict=True) if stamp}
    known = {kind: FactCache(kind).read([stamp for stamp in stamps if stamp]) for kind in kinds}
    results: list[Fingerprint | DataError | None] = []
    for sample, stamp in zip(samples, stamps, strict=True):
        text = known[_kind(sample)].get(stamp[0]) if stamp else None
        results.append(Fingerprint.from_text(text) if text else None)
    missing = [index for index, result in enumerate(results) if result is None]
    for index, found in zip(missing, _look_at([samples[index] for index in missing], stamps), strict=True):
        results[index] = found
    _remember(samples, stamps, results, missing)
    return [result for result in results if result is not None]


def _remember(
    samples: Sequence[Sample],
    stamps: Sequence[Stamp | None],
    results: Sequence[Fingerprint | DataError | None],
    new: Sequence[int],
) -> None:
    facts: dict[str, dict[Stamp, str]] = {}
    for index in new:
        stamp, result = stamps[index], results[index]
        if stamp and isinstance(result, Fingerprint):
            facts.setdefault(_kind(samples[index]), {})[stamp] = result.to_text()
    for kind, texts in facts.items():
        FactCache(kind).write(texts, {stamp[0]: text for stamp, text in texts.items()})


def _look_at(samples: Sequence[Sample], stamps: Sequence[Stamp | None]) -> Iterator[Fingerprint | DataError]:
    sizes = [stamp[1] for stamp in stamps if stamp]
    if not sizes or sum(sizes) / len(sizes) < _LARGE:
        yield from map(_look, samples)
        return
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(_look, samples)


def _look(sample: Sample) -> Fingerprint | DataError:
    try:
        return Fingerprint.of(sample.open())
    except DataError as error:
        return error


def _stamp(sample: Sample) -> Stamp | None:
    if not isinstance(sample.opener, Stamped):
        return None
    try:
        return sample.opener.stamp()
    except OSError:
        return None


def _kind(sample: Sample) -> str:
    # Another Pillow may decode to other pixels, and so may another window or side.
    reading = getattr(sample.opener, "reading", "")
    return f"fingerprint/2/pillow-{PIL.__version__}/{reading}"


def _digest(image: Image.Image) -> str:
    digest = hashlib.blake2b(repr(image.size).encode(), digest_size=10)
    digest.update(image.tobytes())
    return digest.hexdigest()


def _middle(size: tuple[int, int]) -> tuple[float, float, float, float]:
    width, height = size
    left, top = width * (1 - MIDDLE) / 2, height * (1 - MIDDLE) / 2
    return left, top, width - left, height - top


def _phash(grey: Image.Image) -> int:
    import imagehash

    bits: NDArray[np.bool_] = imagehash.phash(grey).hash
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
