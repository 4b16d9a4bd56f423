"""Finds near-duplicates: by perceptual hash, then by correlation of the few candidates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .fingerprint import Fingerprint

MAX_DISTANCE = 4
MIN_CORRELATION = 0.98
_SIDE = 64
_BLOCK = 64
_MOST_COMPARED = 10**7  # pairs up to which all are compared
_BITS = 64
# Blocks of a hash, and how many of them a table looks at, by the number of hashes from which on they pay. Where at most
# MAX_DISTANCE bits differ, so many blocks are equal in one of the tables.
_TABLES = ((0, 5, 1), (2**16, 6, 2), (2**23, 7, 3))
_ROWS, _CANDIDATES = 2**18, 2**22  # at once, so that memory stays bounded


@dataclass(frozen=True)
class Pair:
    """Two near-duplicates.

    Attributes:
        one: index of the image among the first ones.
        other: index of the image among the others.
        distance: differing bits of their perceptual hashes.
        correlation: of their grey values, -1 to 1.
    """

    one: int
    other: int
    distance: int
    correlation: float


@dataclass(frozen=True)
class Hashes:
    """The perceptual hashes of many images, for fast comparison.

    Attributes:
        plain: n, uint64.
        mirror: n, uint64, of the mirrored images.
    """

    plain: NDArray[np.uint64]
    mirror: NDArray[np.uint64]

    @classmethod
    def of(cls, fingerprints: Sequence[Fingerprint]) -> Hashes:
        """The hashes of these fingerprints, in order."""
        plain = np.array([fingerprint.phash for fingerprint in fingerprints], dtype=np.uint64)
        return cls(plain, np.array([fingerprint.mirror for fingerprint in fingerprints], dtype=np.uint64))

    def find_near(self, fingerprint: Fingerprint, max_distance: int = MAX_DISTANCE) -> NDArray[np.intp]:
        """Indices of the images whose hash, plain or mirrored, is within `max_distance` bits, nearest first."""
        phash = np.uint64(fingerprint.phash)
        distance = np.minimum(np.bitwise_count(self.plain ^ phash), np.bitwise_count(self.mirror ^ phash))
        indices = np.flatnonzero(distance <= max_distance)
        return indices[np.argsort(distance[indices], kind="stable")]


def find_near_duplicates(
    ones: Sequence[Fingerprint],
    others: Sequence[Fingerprint],
    open_one: Callable[[int], Image.Image],
    open_other: Callable[[int], Image.Image],
) -> Iterator[Pair]:
    """All pairs with hashes within `MAX_DISTANCE` whose grey values correlate above `MIN_CORRELATION`.

    Args:
        ones: fingerprints of the first images.
        others: fingerprints of the other images; they are also compared mirrored.
        open_one: opens one of the first images, by its index.
        open_other: opens one of the others.
    """
    # A few images (plain backdrops) are in many pairs and most are in none, so a small cache is enough.
    one = lru_cache(maxsize=1024)(lambda index: thumbnail(open_one(index)))
    other = lru_cache(maxsize=1024)(lambda index: thumbnail(open_other(index)))
    for row, column, distance in find_close_hashes(Hashes.of(ones), Hashes.of(others)):
        similarity = max_over_mirror(correlation, one(row), other(column))
        if similarity > MIN_CORRELATION:
            yield Pair(row, column, distance, similarity)


def find_close_hashes(ones: Hashes, others: Hashes) -> Iterator[tuple[int, int, int]]:
    """Indices and distance of all pairs of hashes within `MAX_DISTANCE`, in order.

    Few are compared with all; of many, those that share blocks of bits, which all such pairs do (Manku et al. 2007,
    "Detecting near-duplicates for web crawling").
    """
    compare = _compare_all if len(ones.plain) * len(others.plain) <= _MOST_COMPARED else _compare_by_blocks
    return compare(ones, others)


def _compare_all(ones: Hashes, others: Hashes) -> Iterator[tuple[int, int, int]]:
    # A block of rows against all columns fits in the processor's cache.
    for start in range(0, len(ones.plain), _BLOCK):
        rows = ones.plain[start : start + _BLOCK, None]
        distance = np.minimum(np.bitwise_count(rows ^ others.plain), np.bitwise_count(rows ^ others.mirror))
        if distance.size == 0 or distance.min() > MAX_DISTANCE:
            continue
        for row, column in zip(*np.nonzero(distance <= MAX_DISTANCE), strict=True):
            yield start + int(row), int(column), int(distance[row, column])


def _compare_by_blocks(ones: Hashes, others: Hashes) -> Iterator[tuple[int, int, int]]:
    columns, count = np.concatenate([others.plain, others.mirror]), len(others.plain)
    blocks, equal = next(rest for least, *rest in reversed(_TABLES) if len(columns) >= least)
    for start in range(0, len(ones.plain), _ROWS):
        rows = ones.plain[start : start + _ROWS]
        found = [
            [row * count + column % count, _distance(rows, columns, row, column)]
            for mask in _list_masks(blocks, equal)
            for row, column in _join(rows, columns, mask)
        ]
        pairs, distances = np.concatenate(found, axis=1) if found else np.zeros((2, 0), np.int64)
        order = np.lexsort((distances, pairs))  # plain and mirrored, and in several tables: the nearest counts
        pairs, distances = pairs[order], distances[order]
        first = np.diff(pairs, prepend=-1) > 0
        for pair, distance in zip(pairs[first].tolist(), distances[first].tolist(), strict=True):
            yield start + pair // count, pair % count, distance


def _list_masks(blocks: int, equal: int) -> list[np.uint64]:
    """The bits that each table looks at: any `equal` of so many blocks."""
    edges = [_BITS * number // blocks for number in range(blocks + 1)]
    bits = [(1 << end) - (1 << start) for start, end in pairwise(edges)]
    return [np.uint64(sum(chosen)) for chosen in combinations(bits, equal)]


def _join(
    rows: NDArray[np.uint64], columns: NDArray[np.uint64], mask: np.uint64
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Positions of rows and columns that are equal in the bits of a mask and within `MAX_DISTANCE`."""
    keys = columns & mask
    order = np.argsort(keys)
    keys = keys[order]
    wanted = rows & mask
    by_key = np.argsort(wanted)  # neighbours look at the same memory
    low, high = (np.searchsorted(keys, wanted[by_key], side) for side in ("left", "right"))
    counts = high - low
    ends = np.cumsum(counts)
    start = 0
    while start < len(rows):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _CANDIDATES, "right")))
        some = counts[start:stop]
        within = np.arange(some.sum()) - np.repeat(np.cumsum(some) - some, some)
        row, column = np.repeat(by_key[start:stop], some), order[np.repeat(low[start:stop], some) + within]
        near = _distance(rows, columns, row, column) <= MAX_DISTANCE
        yield row[near], column[near]
        start = stop


def _distance(
    rows: NDArray[np.uint64], columns: NDArray[np.uint64], row: NDArray[np.int64], column: NDArray[np.int64]
) -> NDArray[np.int64]:
    distances: NDArray[np.int64] = np.bitwise_count(rows[row] ^ columns[column]).astype(np.int64)
    return distances


def thumbnail(image: Image.Image) -> NDArray[np.uint8]:
    """The grey values of an image at 64 x 64: h w, uint8."""
    return np.asarray(image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS))


def correlation(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Pearson's correlation of two arrays of equal shape; 0 where one of them is constant."""
    left = one.ravel() - one.mean()
    right = other.ravel() - other.mean()
    scale = float(np.sqrt((left @ left) * (right @ right)))
    return float(left @ right) / scale if scale > 0 else 0.0


def max_over_mirror(
    compare: Callable[[NDArray[np.uint8], NDArray[np.uint8]], float],
    one: NDArray[np.uint8],
    other: NDArray[np.uint8],
) -> float:
    """The greater result of `compare` for `other` (h w …) as it is and mirrored."""
    return max(compare(one, other), compare(one, other[:, ::-1]))
