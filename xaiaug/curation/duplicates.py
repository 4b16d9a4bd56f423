"""Near-duplicates: the real images, and the synthetic ones, that a new image must not repeat."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..data import Fingerprint, Splits, compute_fingerprints
from ..data.near_duplicates import Hashes, max_over_mirror
from .similarity import (
    MAX_DISTANCE,
    SIDE,
    ImageSignature,
    align_crop,
    colours_of,
    find_crops,
    is_repeat,
    similarity_of,
)

_AND = "|"  # between a signature and an embedding


class NearDuplicateIndex:
    """The synthetic images as they are kept.

    Args:
        kept: the entries of those that were kept before, as `add` returned them.
    """

    def __init__(self, kept: Sequence[str]) -> None:
        self._signatures: list[ImageSignature] = []
        self._hashes = _GrowingRows(np.uint64)
        self._embeddings = _GrowingRows(np.float32)
        self._count = 0
        for entry in kept:
            signature, _, embedding = entry.partition(_AND)
            self.add(ImageSignature.from_text(signature) if signature else None, _decode(embedding))

    def add(self, signature: ImageSignature | None, embedding: NDArray[np.float32] | None) -> str:
        """Adds a synthetic image; returns its entry for a later index, one word."""
        if signature is not None:
            self._signatures.append(signature)
            mark = signature.fingerprint
            self._hashes.append(self._count, np.array([mark.phash, mark.mirror], np.uint64))
        if embedding is not None:
            embedding = embedding.astype(np.float16).astype(np.float32)  # as a later index will have it
            self._embeddings.append(self._count, embedding)
        self._count += 1
        return (signature.to_text() if signature else "") + _encode(embedding)

    def find_synthetic(self, signature: ImageSignature) -> tuple[str, float] | None:
        """The synthetic image that a new one repeats, and the similarity; None if it is new."""
        if not self._signatures:
            return None
        hashes = Hashes(*self._hashes.rows.T)
        for index in map(int, hashes.find_near(signature.fingerprint, MAX_DISTANCE)):
            other = self._signatures[index]
            same = signature.fingerprint.pixels == other.fingerprint.pixels
            similarity = 1.0 if same else max_over_mirror(similarity_of, signature.colours, other.colours)
            if is_repeat(similarity):
                return _name_synthetic(self._hashes.numbers[index]), similarity
        return None

    def find_similar(self, embedding: NDArray[np.float32], threshold: float) -> tuple[str, float] | None:
        """The synthetic image with the nearest embedding, and their cosine similarity; None below `threshold`."""
        similarity = self._embeddings.rows @ embedding if self._embeddings.numbers else np.zeros(1)
        best = int(similarity.argmax())
        if similarity[best] < threshold:
            return None
        return _name_synthetic(self._embeddings.numbers[best]), float(similarity[best])


class RealImages:
    """The real images of all splits, by their fingerprints; an image is opened only to confirm a match."""

    def __init__(self, splits: Splits) -> None:
        samples = [(name, sample) for name in splits.distinct for sample in splits[name]]
        marks = compute_fingerprints([sample for _, sample in samples])
        readable = [(*place, mark) for place, mark in zip(samples, marks, strict=True) if isinstance(mark, Fingerprint)]
        self.names = [name for name, *_ in readable]
        self.samples = [sample for _, sample, _ in readable]
        self.hashes = Hashes.of([mark for *_, mark in readable])
        self.middles = np.array([mark.middle for *_, mark in readable], dtype=np.uint64)
        self.by_pixels = {mark.pixels: index for index, (*_, mark) in reversed(list(enumerate(readable)))}
        self._train_places: dict[str, list[int]] = defaultdict(list)
        for index, (name, sample) in enumerate(zip(self.names, self.samples, strict=True)):
            if name == "train":
                self._train_places[sample.id].append(index)
        self._colours = lru_cache(maxsize=256)(lambda index: colours_of(self.samples[index].open()))
        self._small = lru_cache(maxsize=256)(self._open_small)

    def find(self, signature: ImageSignature, parents: Collection[str] = ()) -> tuple[str, float] | None:
        """The image that this one copies, or is cropped from, in words, and the similarity.

        Args:
            signature: of the new image.
            parents: ids of training images that it may resemble; a copy, pixel for pixel, is found nevertheless.
        """
        allowed = frozenset(i for id_ in parents for i in self._train_places.get(id_, ()))
        return self._find_copy(signature, allowed) or self._find_crop(signature, allowed)

    def _find_copy(self, signature: ImageSignature, allowed: Collection[int]) -> tuple[str, float] | None:
        same = self.by_pixels.get(signature.fingerprint.pixels)
        if same is not None:
            return f"duplicate of {self._name(same)}", 1.0
        for index in map(int, self.hashes.find_near(signature.fingerprint, MAX_DISTANCE)):
            if index in allowed:
                continue
            similarity = max_over_mirror(similarity_of, signature.colours, self._colours(index))
            if is_repeat(similarity):
                return f"duplicate of {self._name(index)}", similarity
        return None

    def _find_crop(self, signature: ImageSignature, allowed: Collection[int]) -> tuple[str, float] | None:
        for colours in (signature.colours, signature.colours[:, ::-1]):
            for index, crop in find_crops(colours, self.middles):
                if index in allowed:
                    continue
                similarity = align_crop(self._small(index), crop, colours)
                if is_repeat(similarity):
                    return f"crop of {self._name(index)}", similarity
        return None

    def _open_small(self, index: int) -> Image.Image:
        image = self.samples[index].open().convert("RGB")
        image.thumbnail((SIDE, SIDE))
        return image

    def _name(self, index: int) -> str:
        return f"{self.names[index]} image {self.samples[index].id}"


class _GrowingRows:
    """Rows one below the other, n d; space doubles when it is full, so that adding one rarely copies them all."""

    def __init__(self, kind: type[np.generic]) -> None:
        self.numbers: list[int] = []  # of the images that the rows are of
        self._space: NDArray[Any] = np.zeros((0, 0), kind)

    @property
    def rows(self) -> NDArray[Any]:
        return self._space[: len(self.numbers)]

    def append(self, number: int, row: NDArray[Any]) -> None:
        if len(self.numbers) == len(self._space):
            larger = np.zeros((max(64, 2 * len(self._space)), len(row)), self._space.dtype)
            larger[: len(self.numbers)] = self.rows if self.numbers else 0
            self._space = larger
        self._space[len(self.numbers)] = row
        self.numbers.append(number)


def _name_synthetic(number: int) -> str:
    return f"synthetic image {number + 1}"


def _encode(embedding: NDArray[np.float32] | None) -> str:
    return "" if embedding is None else _AND + base64.b64encode(embedding.astype("<f2").tobytes()).decode()


def _decode(text: str) -> NDArray[np.float32] | None:
    return np.frombuffer(base64.b64decode(text), "<f2").astype(np.float32) if text else None
