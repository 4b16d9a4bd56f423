"""Fingerprints of images: a few bytes that find an image again, even resized or recompressed."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ..errors import DataError
from ..records import Sample
from .cache import FactCache
from .image_file import ContentOpener

_HASH_SIDE = 32
MIDDLE = 0.6  # of width and height; kept by most crops
_LARGE = 100_000  # mean bytes per file; below this, threads cost more than they gain (measured: twice the CPU time)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Hashes of one image, for comparison with others.

    Attributes:
        pixels: digest of size and pixels.
        phash: 64-bit perceptual hash of the low frequencies of the grey image, as in `imagehash.phash`.
        mirror: `phash` of the mirrored image.
        middle: `phash` of the middle of the image, `MIDDLE` of its width and height.
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
        middle = grey.resize(side, Image.Resampling.LANCZOS, box=_middle_box(grey.size))
        return cls(_digest_pixels(image), _phash(small), _phash(ImageOps.mirror(small)), _phash(middle))

    def to_text(self) -> str:
        """A string without spaces, for a cache or a ledger."""
        return f"{self.pixels}-{self.phash:016x}-{self.mirror:016x}-{self.middle:016x}"

    @classmethod
    def from_text(cls, text: str) -> Fingerprint:
        """The fingerprint written by `to_text`."""
        pixels, *hashes = text.split("-")
        phash, mirror, middle = (int(digits, 16) for digits in hashes)
        return cls(pixels, phash, mirror, middle)


def compute_fingerprints(
    samples: Sequence[Sample], watch: Callable[[int], None] | None = None
) -> list[Fingerprint | DataError]:
    """The fingerprint of each image, in order, or the error where it cannot be read.

    Images whose bytes are known are not decoded again. Large ones are decoded in threads, since decoders release the
    interpreter lock; at most one image per thread is in memory.

    Args:
        samples: the images.
        watch: called with the number of fingerprints that there are so far. If it raises, they are kept.
    """
    digests: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for sample in samples:
        if (opener := _content_opener(sample)) is not None:
            digests[_cache_kind(opener)][opener.digest] = ""
    cached = {kind: FactCache(kind).read(states) for kind, states in digests.items()}
    results = [_find_cached(sample, cached) for sample in samples]
    missing = [index for index, result in enumerate(results) if result is None]
    known = len(samples) - len(missing)
    try:
        for count, result in enumerate(_compute_all([samples[index] for index in missing])):
            results[missing[count]] = result
            if watch is not None:
                watch(known + count + 1)
    finally:
        for kind, facts in _new_facts([(samples[index], results[index]) for index in missing]).items():
            FactCache(kind).write(digests[kind], facts)
    return [result for result in results if result is not None]


def _find_cached(sample: Sample, cached: Mapping[str, Mapping[str, str]]) -> Fingerprint | DataError | None:
    opener = _content_opener(sample)
    text = cached[_cache_kind(opener)].get(opener.digest) if opener is not None else None
    with contextlib.suppress(ValueError):  # a damaged cache
        return Fingerprint.from_text(text) if text else None
    return None


def _new_facts(
    results: Iterable[tuple[Sample, Fingerprint | DataError | None]],
) -> defaultdict[str, dict[str, str]]:
    facts: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for sample, result in results:
        opener = _content_opener(sample)
        if opener is not None and isinstance(result, Fingerprint):
            facts[_cache_kind(opener)][opener.digest] = result.to_text()
    return facts


def _compute_all(samples: Sequence[Sample]) -> Iterator[Fingerprint | DataError]:
    sizes = [opener.size for sample in samples if (opener := _content_opener(sample)) is not None]
    if not sizes or sum(sizes) / len(sizes) < _LARGE:
        yield from map(_compute, samples)
        return
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(_compute, samples)


def _compute(sample: Sample) -> Fingerprint | DataError:
    try:
        return Fingerprint.of(sample.open())
    except DataError as error:
        return error


def _content_opener(sample: Sample) -> ContentOpener | None:
    opener = sample.opener
    return opener if isinstance(opener, ContentOpener) and opener.digest else None


def _cache_kind(opener: ContentOpener) -> str:
    # Pixels may depend on the version of Pillow, and on window and side.
    return f"fingerprint/4/pillow-{PIL.__version__}/{opener.decoder}"


def _digest_pixels(image: Image.Image) -> str:
    digest = hashlib.blake2b(repr(image.size).encode(), digest_size=10)
    digest.update(image.tobytes())
    return digest.hexdigest()


def _middle_box(size: tuple[int, int]) -> tuple[float, float, float, float]:
    width, height = size
    left, top = width * (1 - MIDDLE) / 2, height * (1 - MIDDLE) / 2
    return left, top, width - left, height - top


def _phash(grey: Image.Image) -> int:
    import imagehash

    bits: NDArray[np.bool_] = imagehash.phash(grey).hash
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
