"""The views of one training in order, each a function of seed and position alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import DataError
from ...metrics.groups import form_groups
from ...records import Recipe, Sample
from ...records.training_method import GROUP_BALANCED
from ._augmentation import crop_view, draw_crop

_CACHE_BYTES = 256 * 2**20

Pixels = NDArray[np.uint8]


class Item(NamedTuple):
    """One view of a training image.

    Attributes:
        view: h w c, uint8.
        label: index of the class.
        weight: how much the image counts.
        position: of the view in the training; with the seed it decides all randomness.
        group: number of the image's group (see `number_groups`).
        off_subject: h w, float32, how much each pixel of the view is not of the subject, 0 to 1, and 0 all over where
            the subject is not clear; None where subjects are not read.
    """

    view: Pixels
    label: int
    weight: float
    position: int
    group: int
    off_subject: NDArray[np.float32] | None


@dataclass(frozen=True, eq=False)
class TrainingTask:
    """What one training is asked for.

    Attributes:
        labels: names of the classes.
        train: training images.
        validation: images for the curves; may be none.
        recipe: how to train.
        seed: decides order, views and new weights.
    """

    labels: Sequence[str]
    train: Sequence[Sample]
    validation: Sequence[Sample]
    recipe: Recipe
    seed: int

    def check_labels(self, who: str) -> None:
        """Raises DataError where there is no training image, or a label that is none of the classes."""
        if not len(self.train):
            raise DataError(f"{who}.fit: the train split is empty")
        for name, samples in (("train", self.train), ("validation", self.validation)):
            wrong = {sample.label for sample in samples if not 0 <= sample.label < len(self.labels)}
            if wrong:
                raise DataError(
                    f"{who}.fit: labels in {name} must lie in 0..{len(self.labels) - 1}, got {sorted(wrong)}"
                )

    def draw_balanced(self) -> tuple[Sequence[Sample], Recipe]:
        """The training images drawn as the recipe samples, and the recipe with nothing left to balance.

        With uniform sampling the images as they are; else steps × batch size of them.
        """
        recipe = self.recipe
        if recipe.sampling == "uniform":
            return self.train, recipe
        strata, rng = form_strata(self.train, recipe.sampling), np.random.default_rng(self.seed)
        order = draw_order(strata, recipe.steps * recipe.batch_size, recipe.sampling, rng)
        return [self.train[index] for index in order], replace(recipe, sampling="uniform")


class Frames:
    """Decoded images as small arrays, uint8; kept in memory up to a limit, so that later passes are quick."""

    def __init__(self, samples: Sequence[Sample], make: Callable[[Sample], Pixels]) -> None:
        self.samples = samples
        self.make = make
        self._kept: dict[str, Pixels] = {}
        self._bytes_left = _CACHE_BYTES

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Pixels:
        sample = self.samples[index]  # may stand at several places
        frame = self._kept.get(sample.id)
        if frame is None:
            frame = np.ascontiguousarray(self.make(sample))
            if frame.nbytes <= self._bytes_left:
                self._bytes_left -= frame.nbytes
                self._kept[sample.id] = frame
        return frame


class TrainingDataset:
    """All views of one training, in order: a map-style dataset.

    Args:
        samples: the training images.
        size: height and width of the views.
        count: steps times batch size.
        sampling: "uniform", "balanced" or "group-balanced".
        seed: decides order and views.
    """

    def __init__(
        self, samples: Sequence[Sample], size: tuple[int, int], *, count: int, sampling: str, seed: int
    ) -> None:
        self.samples = samples
        self.size = size
        self.seed = seed
        self.frames = Frames(samples, self._make_frame)
        self.masks = Frames(samples, self._mask_off_subject) if any(sample.subject for sample in samples) else None
        self.groups = number_groups(samples)
        self.order = draw_order(form_strata(samples, sampling), count, sampling, np.random.default_rng(seed))

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, position: int) -> Item:
        index = int(self.order[position])
        sample, image = self.samples[index], Image.fromarray(self.frames[index])
        crop = draw_crop(image.size, np.random.default_rng((self.seed, position)))
        view, off_subject = crop_view(image, self.size, crop), None
        if self.masks is not None:
            mask = Image.fromarray(self.masks[index])
            off_subject = crop_view(mask, self.size, crop).astype(np.float32) / np.float32(255)
        return Item(view, sample.label, sample.weight, position, int(self.groups[index]), off_subject)

    def has_subject(self, index: int) -> bool:
        """Whether the subject of an image is clear."""
        return self.masks is not None and bool(self.masks[index].any())

    def _make_frame(self, sample: Sample) -> Pixels:
        return np.asarray(self._shrink(sample.open().convert("RGB")))

    def _mask_off_subject(self, sample: Sample) -> Pixels:
        """How much each pixel is not of the subject, h w, 0 to 255; 0 all over where the subject is not clear."""
        image = sample.open()
        mask = sample.subject() if sample.subject else None
        off = np.zeros(image.size[::-1], np.uint8) if mask is None else np.round(255 * (1 - mask)).astype(np.uint8)
        if off.shape != image.size[::-1]:
            raise DataError(
                f"the mask of the sample {sample.id[:80]} has the shape {off.shape}, expected {image.size[::-1]}, that"
                " of its image"
            )
        return np.asarray(self._shrink(Image.fromarray(off)))

    def _shrink(self, image: Image.Image) -> Image.Image:
        # Twice the input's size is enough for the smallest crop; box reduction is quick and keeps the cache small.
        factor = int(min(image.width / self.size[1], image.height / self.size[0]) / 2)
        return image.reduce(factor) if factor > 1 else image


def number_groups(samples: Sequence[Sample]) -> NDArray[np.int64]:
    """The group of each image, from 0: its class crossed with its attributes; those without any form one a class."""
    labels = [sample.label for sample in samples]
    numbers = form_groups(labels, [sample.groups for sample in samples]).numbers
    keys = np.where(numbers < 0, -1 - np.array(labels, np.int64), numbers)
    _, groups = np.unique(keys, return_inverse=True)
    return groups.astype(np.int64)


def form_strata(samples: Sequence[Sample], sampling: str) -> NDArray[np.int64]:
    """n: the number of the class or group of each image that is balanced; 0 for all where nothing is."""
    if sampling == GROUP_BALANCED:
        return number_groups(samples)
    return np.array([sample.label if sampling == "balanced" else 0 for sample in samples], np.int64)


def draw_order(strata: NDArray[np.int_], count: int, sampling: str, generator: np.random.Generator) -> NDArray[np.int_]:
    """Indices of the images to train on, in order: count.

    "uniform" repeats all images, each time in a random order; else every stratum, a class or a group, is drawn equally
    often, and repeated in the same way. No image is drawn more than once more often than another of its stratum (with
    "uniform", than any other).
    """
    if sampling == "uniform":
        return np.fromiter(_repeat_shuffled(np.arange(len(strata)), generator), int, count)
    streams = [_repeat_shuffled(np.flatnonzero(strata == one), generator) for one in np.unique(strata)]
    turns = _repeat_shuffled(np.arange(len(streams)), generator)
    return np.fromiter((next(streams[next(turns)]) for _ in range(count)), int, count)


def _repeat_shuffled(indices: NDArray[np.int_], generator: np.random.Generator) -> Iterator[int]:
    while True:
        yield from generator.permutation(indices)
