"""The views of one training in order, each a function of seed and position alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...records import Sample
from ._augmentation import augment

_CACHE_BYTES = 256 * 2**20

Item = tuple[NDArray[np.uint8], int, float, int]


class Frames:
    """Decoded images as small arrays: h w c, uint8; kept in memory up to a limit, so that later passes are quick."""

    def __init__(self, samples: Sequence[Sample], make: Callable[[Image.Image], NDArray[np.uint8]]) -> None:
        self.samples = samples
        self.make = make
        self._kept: dict[int, NDArray[np.uint8]] = {}
        self._bytes_left = _CACHE_BYTES

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        frame = self._kept.get(index)
        if frame is None:
            frame = np.ascontiguousarray(self.make(self.samples[index].open()))
            if frame.nbytes <= self._bytes_left:
                self._bytes_left -= frame.nbytes
                self._kept[index] = frame
        return frame


class TrainingDataset:
    """All views of one training, in order: a map-style dataset of (view, label, weight, position).

    Args:
        samples: the training images.
        size: height and width of the views.
        count: steps times batch size.
        sampling: "uniform" or "balanced".
        seed: decides order and views.
    """

    def __init__(
        self, samples: Sequence[Sample], size: tuple[int, int], *, count: int, sampling: str, seed: int
    ) -> None:
        self.samples = samples
        self.size = size
        self.seed = seed
        self.frames = Frames(samples, self._shrink)
        labels = np.array([sample.label for sample in samples])
        self.order = draw_order(labels, count, sampling, np.random.default_rng(seed))

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, position: int) -> Item:
        index = int(self.order[position])
        image = Image.fromarray(self.frames[index])
        view = augment(image, self.size, np.random.default_rng((self.seed, position)))
        sample = self.samples[index]
        return view, sample.label, sample.weight, position

    def _shrink(self, image: Image.Image) -> NDArray[np.uint8]:
        # Twice the input's size is enough for the smallest crop; box reduction is quick and keeps the cache small.
        factor = int(min(image.width / self.size[1], image.height / self.size[0]) / 2)
        image = image.convert("RGB")
        return np.asarray(image.reduce(factor) if factor > 1 else image)


def draw_order(labels: NDArray[np.int_], count: int, sampling: str, generator: np.random.Generator) -> NDArray[np.int_]:
    """Indices of the images to train on, in order: count.

    "uniform" repeats all images, each time in a random order; "balanced" draws every class equally often, and repeats
    each class in the same way. No image is drawn more than once more often than another of its class (with "uniform",
    than any other).
    """
    if sampling == "uniform":
        return np.fromiter(_repeat_shuffled(np.arange(len(labels)), generator), int, count)
    streams = [_repeat_shuffled(np.flatnonzero(labels == label), generator) for label in np.unique(labels)]
    turns = _repeat_shuffled(np.arange(len(streams)), generator)
    return np.fromiter((next(streams[next(turns)]) for _ in range(count)), int, count)


def _repeat_shuffled(indices: NDArray[np.int_], generator: np.random.Generator) -> Iterator[int]:
    while True:
        yield from generator.permutation(indices)
