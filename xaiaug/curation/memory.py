"""The images a new one must not repeat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..data import Fingerprint, Splits, fingerprints
from ..data.near import Hashes, either_way
from .portrait import MAX_DISTANCE, Portrait, colours_of, likeness, repeats


class Held:
    """The real images of all splits, known by their fingerprints; one is opened only to confirm a likeness."""

    def __init__(self, splits: Splits) -> None:
        samples = [(name, sample) for name in splits.distinct for sample in splits[name]]
        found = fingerprints([sample for _, sample in samples])
        readable = [(*place, mark) for place, mark in zip(samples, found, strict=True) if isinstance(mark, Fingerprint)]
        self.names = [name for name, *_ in readable]
        self.samples = [sample for _, sample, _ in readable]
        self.hashes = Hashes.of([mark for *_, mark in readable])
        self.by_pixels = {mark.pixels: index for index, (*_, mark) in reversed(list(enumerate(readable)))}
        self._colours = lru_cache(maxsize=256)(self._open)

    def find(self, portrait: Portrait) -> tuple[str, float] | None:
        """The image a portrait repeats, and how like it is."""
        same = self.by_pixels.get(portrait.fingerprint.pixels)
        if same is not None:
            return self._told(same), 1.0
        for index in map(int, self.hashes.near(portrait.fingerprint, MAX_DISTANCE)):
            similarity = either_way(likeness, portrait.colours, self._colours(index))
            if repeats(similarity):
                return self._told(index), similarity
        return None

    def _open(self, index: int) -> NDArray[np.uint8]:
        return colours_of(self.samples[index].open())

    def _told(self, index: int) -> str:
        return f"image {self.samples[index].id} of {self.names[index]}"


class Memory:
    """Held images, and synthetic ones as they are kept."""

    def __init__(self, held: Held | None, seen: Sequence[str]) -> None:
        self.held = held
        self.seen = [Portrait.from_text(text) for text in seen]

    def add(self, portrait: Portrait) -> None:
        """Remembers one more image."""
        self.seen.append(portrait)

    def find(self, portrait: Portrait) -> tuple[str, float] | None:
        """What a portrait repeats, and how like it is; None when it is new."""
        found = self.held.find(portrait) if self.held else None
        return found or next(self._find_seen(portrait), None)

    def _find_seen(self, portrait: Portrait) -> Iterator[tuple[str, float]]:
        hashes = Hashes.of([other.fingerprint for other in self.seen])
        for index in map(int, hashes.near(portrait.fingerprint, MAX_DISTANCE)):
            same = portrait.fingerprint.pixels == self.seen[index].fingerprint.pixels
            similarity = 1.0 if same else either_way(likeness, portrait.colours, self.seen[index].colours)
            if repeats(similarity):
                yield f"synthetic image {index + 1} of this run", similarity
