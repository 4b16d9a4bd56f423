"""Marks planted on photographs: a yellow tag or a date in a corner, or a warm tint of the whole image.

Nothing is written of the data but masks of the tags: an image is composed whenever it is opened.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from xaiaug import Sample, Splits
from xaiaug.petworld.tag import CORNERS
from xaiaug.records import derive_seed, digest

SIDES = (34 / 224, 46 / 224)  # of the tag, in shares of the image's shorter side
GAP = 6 / 224  # most pixels between tag and border, likewise
YELLOW = np.array([236, 200, 40])
HEIGHTS = (20 / 224, 26 / 224)  # of the digits of a date
ORANGE = (255, 140, 40)
WARM = np.array([1.18, 1.0, 0.78])  # by what a tint of strength 1 multiplies red, green and blue
STRENGTHS = (0.8, 1.2)


class Mark(Protocol):
    """What is planted on an image; picklable."""

    @property
    def key(self) -> list[str | float]:
        """What its image depends on."""

    def mask(self, size: tuple[int, int]) -> Image.Image | None:
        """White on the mark, for an image of that width and height; None where it has no place of its own."""

    def put_on(self, image: Image.Image) -> Image.Image:
        """The image with the mark."""


@dataclass(frozen=True)
class Tag:
    """Where a tag is, in shares of the image.

    Attributes:
        corner: one of `CORNERS`.
        side: of the shorter side of the image.
        gap: to the border, likewise.
        shade: added to its colour, in grey levels.
    """

    corner: str
    side: float
    gap: float
    shade: int

    @classmethod
    def draw(cls, rng: random.Random, corner: str | None) -> Tag:
        """A random tag; in this corner, or None in a random one."""
        return cls(corner or rng.choice(CORNERS), rng.uniform(*SIDES), rng.uniform(0, GAP), rng.randint(-15, 15))

    @property
    def key(self) -> list[str | float]:
        """What its image depends on."""
        return [self.corner, self.side, self.gap, self.shade]

    def box(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Left, top, right and bottom, all within the tag, for an image of that width and height."""
        side, gap = (round(share * min(size)) for share in (self.side, self.gap))
        left = gap if "left" in self.corner else size[0] - gap - side
        top = gap if "top" in self.corner else size[1] - gap - side
        return left, top, left + side - 1, top + side - 1

    def mask(self, size: tuple[int, int]) -> Image.Image:
        """White on the tag."""
        mask = Image.new("L", size)
        ImageDraw.Draw(mask).rectangle(self.box(size), fill=255)
        return mask

    def put_on(self, image: Image.Image) -> Image.Image:
        """The image with the tag, its edges slightly soft."""
        colour = tuple(int(value) for value in np.clip(YELLOW + self.shade, 0, 255))
        marked = image.convert("RGB")
        marked.paste(colour, mask=self.mask(marked.size).filter(ImageFilter.GaussianBlur(0.6)))
        return marked


@dataclass(frozen=True)
class Date:
    """The date that a camera prints into a corner, in orange digits.

    Attributes:
        corner: one of `CORNERS`.
        height: of the digits, in shares of the shorter side of the image.
        gap: to the border, likewise.
        text: the digits.
    """

    corner: str
    height: float
    gap: float
    text: str

    @classmethod
    def draw(cls, rng: random.Random, corner: str | None) -> Date:
        """A random date; in this corner, or None in a random one."""
        text = f"'{rng.randint(90, 99)} {rng.randint(1, 12):2} {rng.randint(1, 28):2}"
        return cls(corner or rng.choice(CORNERS), rng.uniform(*HEIGHTS), rng.uniform(GAP, 2 * GAP), text)

    @property
    def key(self) -> list[str | float]:
        """What its image depends on."""
        return ["date", self.corner, self.height, self.gap, self.text]

    def mask(self, size: tuple[int, int]) -> Image.Image:
        """White on the digits, for an image of that width and height."""
        height, gap = (round(share * min(size)) for share in (self.height, self.gap))
        x, y = (gap if "left" in self.corner else size[0] - gap), (gap if "top" in self.corner else size[1] - gap)
        anchor = ("l" if "left" in self.corner else "r") + ("t" if "top" in self.corner else "b")
        mask = Image.new("L", size)
        ImageDraw.Draw(mask).text((x, y), self.text, fill=255, font=ImageFont.load_default(height), anchor=anchor)
        return mask

    def put_on(self, image: Image.Image) -> Image.Image:
        """The image with the date, which glows a little, as it does on film."""
        marked = image.convert("RGB")
        mask = self.mask(marked.size)
        marked.paste((150, 40, 0), mask=mask.filter(ImageFilter.GaussianBlur(1.5)))
        marked.paste(ORANGE, mask=mask)
        return marked


@dataclass(frozen=True)
class Tint:
    """A warm cast of the whole image: a cause without a place.

    Attributes:
        strength: 1 multiplies the colours by `WARM`.
    """

    strength: float

    @classmethod
    def draw(cls, rng: random.Random, corner: str | None) -> Tint:  # noqa: ARG003
        """A tint of random strength."""
        return cls(rng.uniform(*STRENGTHS))

    @property
    def key(self) -> list[str | float]:
        """What its image depends on."""
        return ["tint", self.strength]

    def mask(self, size: tuple[int, int]) -> None:
        """None: it is everywhere."""

    def put_on(self, image: Image.Image) -> Image.Image:
        """The image in warmer colours."""
        gain = 1 + (WARM - 1) * self.strength
        return Image.fromarray(np.clip(np.asarray(image.convert("RGB")) * gain, 0, 255).astype(np.uint8))


MARKS: Mapping[str, Callable[[random.Random, str | None], Mark]] = {
    "tag": Tag.draw,
    "date": Date.draw,
    "tint": Tint.draw,
}


@dataclass(frozen=True)
class Marked:
    """Opens an image and puts a mark on it; picklable."""

    opener: Callable[[], Image.Image]
    mark: Mark

    def __call__(self) -> Image.Image:
        return self.mark.put_on(self.opener())


@dataclass(frozen=True)
class Planting:
    """Which images have a mark.

    Attributes:
        mark: a name of `MARKS`.
        share: of the dogs of all splits but test that have one, 0 to 1; of the cats it is one less this. Half
            of both have one in test. None: no image has one.
        corner: of all tags; None: a random one for each.
        counts: images of each split, both classes together.
    """

    mark: str
    share: float | None
    corner: str | None
    counts: Mapping[str, int]

    def plant(self, splits: Splits, seed: int, masks: Path) -> Splits:
        """Randomly chosen images of each split with their marks, and a group that says which have one.

        Args:
            splits: of cats and dogs.
            seed: decides which images, which of them have a mark, and where.
            masks: the folder for the masks of marks, named by the ids of their images.
        """
        planted: dict[str, Any] = {}
        for name, count in self.counts.items():
            chosen = _choose(splits[name], splits.labels, seed, count)
            shares = {label: self._share(name, label) for label in chosen}
            planted[name] = tuple(
                self._put_on(sample, place < shares[label] * len(chosen[label]), splits.labels, seed, masks)
                for label in chosen
                for place, sample in enumerate(chosen[label])
            )
        return replace(splits, **{"reserve": (), **planted})

    def _share(self, split: str, label: int) -> float:
        if self.share is None:
            return 0.0
        return 0.5 if split == "test" else self.share if label else 1 - self.share

    def _put_on(self, sample: Sample, marked: bool, labels: Sequence[str], seed: int, masks: Path) -> Sample:
        groups = {**sample.groups, self.mark: f"{labels[sample.label]} {'with' if marked else 'without'} {self.mark}"}
        if not marked:
            return replace(sample, groups=groups)
        mark = MARKS[self.mark](random.Random(derive_seed(self.mark, seed, sample.id)), self.corner)
        name = digest([sample.id, *mark.key])
        opener = Marked(sample.opener, mark)
        _write_mask(mark, opener, masks / f"{name}.png")
        return replace(sample, id=name, opener=opener, groups=groups)


def _choose(samples: Sequence[Sample], labels: Sequence[str], seed: int, count: int) -> dict[int, list[Sample]]:
    """Equally many of each class, at most as many as there are, in random order."""
    chosen = {}
    for label in range(len(labels)):
        of_class = sorted((sample for sample in samples if sample.label == label), key=lambda sample: sample.id)
        chosen[label] = random.Random(f"{seed} {label}").sample(of_class, min(count // len(labels), len(of_class)))
    return chosen


def _write_mask(mark: Mark, opener: Marked, file: Path) -> None:
    if not file.exists() and (mask := mark.mask(opener().size)) is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        mask.save(file)
