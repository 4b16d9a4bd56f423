"""The images a new one must not repeat."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..data import Fingerprint, Splits, compute_fingerprints
from ..data.near_duplicates import Hashes, max_over_mirror
from .similarity import MAX_DISTANCE, SIDE, ImageSignature, colours_of, laid_upon, likely, repeats, similarity_of

_AND = "|"  # between a portrait and an embedding


class Held:
    """The real images of all splits, known by their fingerprints; one is opened only to confirm a likeness."""

    def __init__(self, splits: Splits) -> None:
        samples = [(name, sample) for name in splits.distinct for sample in splits[name]]
        found = compute_fingerprints([sample for _, sample in samples])
        readable = [(*place, mark) for place, mark in zip(samples, found, strict=True) if isinstance(mark, Fingerprint)]
        self.names = [name for name, *_ in readable]
        self.samples = [sample for _, sample, _ in readable]
        self.hashes = Hashes.of([mark for *_, mark in readable])
        self.middles = np.array([mark.middle for *_, mark in readable], dtype=np.uint64)
        self.by_pixels = {mark.pixels: index for index, (*_, mark) in reversed(list(enumerate(readable)))}
        self._colours = lru_cache(maxsize=256)(lambda index: colours_of(self.samples[index].open()))
        self._small = lru_cache(maxsize=256)(self._open_small)

    def find(self, portrait: ImageSignature) -> tuple[str, float] | None:
        """The image a portrait repeats, or is cut out of, and how like it is."""
        return self._find_whole(portrait) or self._find_part(portrait)

    def _find_whole(self, portrait: ImageSignature) -> tuple[str, float] | None:
        same = self.by_pixels.get(portrait.fingerprint.pixels)
        if same is not None:
            return self._told(same), 1.0
        for index in map(int, self.hashes.find_near(portrait.fingerprint, MAX_DISTANCE)):
            similarity = max_over_mirror(similarity_of, portrait.colours, self._colours(index))
            if repeats(similarity):
                return self._told(index), similarity
        return None

    def _find_part(self, portrait: ImageSignature) -> tuple[str, float] | None:
        for colours in (portrait.colours, portrait.colours[:, ::-1]):
            for index, cut in likely(colours, self.middles):
                similarity = laid_upon(self._small(index), cut, colours)
                if repeats(similarity):
                    return f"a part of {self._told(index)}", similarity
        return None

    def _open_small(self, index: int) -> Image.Image:
        image = self.samples[index].open().convert("RGB")
        image.thumbnail((SIDE, SIDE))
        return image

    def _told(self, index: int) -> str:
        return f"image {self.samples[index].id} of {self.names[index]}"


class Memory:
    """Held images, and synthetic ones as they are kept.

    Args:
        held: the real images; None: none.
        seen: what is remembered of the synthetic images, as `remember` wrote it.
    """

    def __init__(self, held: Held | None, seen: Sequence[str]) -> None:
        self._held = held
        self._portraits: list[tuple[int, ImageSignature]] = []
        self._embeddings = _Rows()
        self._count = 0
        for text in seen:
            portrait, _, embedding = text.partition(_AND)
            self.remember(ImageSignature.from_text(portrait) if portrait else None, _unpacked(embedding))

    def remember(self, portrait: ImageSignature | None, embedding: NDArray[np.float32] | None) -> str:
        """Takes one more synthetic image in; returns what later memories are told of it, one word."""
        if portrait is not None:
            self._portraits.append((self._count, portrait))
        if embedding is not None:
            embedding = embedding.astype(np.float16).astype(np.float32)  # as a later memory will have it
            self._embeddings.append(self._count, embedding)
        self._count += 1
        return (portrait.to_text() if portrait else "") + _packed(embedding)

    def find_held(self, portrait: ImageSignature) -> tuple[str, float] | None:
        """The real image a portrait repeats, and how like it is; None when it is new."""
        return self._held.find(portrait) if self._held else None

    def find_seen(self, portrait: ImageSignature) -> tuple[str, float] | None:
        """The synthetic image a portrait repeats, and how like it is."""
        hashes = Hashes.of([other.fingerprint for _, other in self._portraits])
        for index in map(int, hashes.find_near(portrait.fingerprint, MAX_DISTANCE)):
            number, other = self._portraits[index]
            same = portrait.fingerprint.pixels == other.fingerprint.pixels
            similarity = 1.0 if same else max_over_mirror(similarity_of, portrait.colours, other.colours)
            if repeats(similarity):
                return _synthetic(number), similarity
        return None

    def find_alike(self, embedding: NDArray[np.float32], least: float) -> tuple[str, float] | None:
        """The synthetic image whose embedding is most like this one, and how like; None below `least`."""
        similarity = self._embeddings.filled @ embedding if self._embeddings.numbers else np.zeros(1)
        best = int(similarity.argmax())
        if similarity[best] < least:
            return None
        return _synthetic(self._embeddings.numbers[best]), float(similarity[best])


class _Rows:
    """Embeddings one below the other: room is doubled when it is full, so that they are not copied for each new one."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self._room = np.zeros((0, 0), np.float32)

    @property
    def filled(self) -> NDArray[np.float32]:
        return self._room[: len(self.numbers)]

    def append(self, number: int, embedding: NDArray[np.float32]) -> None:
        if len(self.numbers) == len(self._room):
            more = np.zeros((max(64, 2 * len(self._room)), len(embedding)), np.float32)
            more[: len(self.numbers)] = self.filled if self.numbers else 0
            self._room = more
        self._room[len(self.numbers)] = embedding
        self.numbers.append(number)


def _synthetic(number: int) -> str:
    return f"synthetic image {number + 1} of this run"


def _packed(embedding: NDArray[np.float32] | None) -> str:
    return "" if embedding is None else _AND + base64.b64encode(embedding.astype("<f2").tobytes()).decode()


def _unpacked(text: str) -> NDArray[np.float32] | None:
    return np.frombuffer(base64.b64decode(text), "<f2").astype(np.float32) if text else None
