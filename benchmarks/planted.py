"""Photographs with a planted mark: a yellow tag in a corner of most images of one class and of few of the other.

Used by `photos.py --start tag`. Nothing is written but masks of the marks: an image is composed whenever it is opened.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from xaiaug import Sample, Splits
from xaiaug.records import derive_seed, digest

SIDES = (34 / 224, 46 / 224)  # of the tag, in shares of the image's shorter side
GAP = 6 / 224  # most pixels between tag and border, likewise
YELLOW = np.array([236, 200, 40])
CORNERS = ("top-left", "top-right", "bottom-left", "bottom-right")


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
class Marked:
    """Opens an image and puts a tag on it; picklable."""

    opener: Callable[[], Image.Image]
    tag: Tag

    def __call__(self) -> Image.Image:
        return self.tag.put_on(self.opener())


def plant_tags(
    splits: Splits, seed: int, *, share: float, corner: str | None, counts: dict[str, int], marks: Path
) -> Splits:
    """Some of the images of each split, tags on `share` of the dogs and on the rest's share of the cats; test balanced.

    Args:
        splits: of cats and dogs.
        seed: decides which images, which of them have a tag, and where.
        share: of the dogs of train, guide and validation that have a tag; of the cats it is one less this.
        corner: of all tags; None: a random one for each.
        counts: images of each split, both classes together.
        marks: the folder for the masks of tags, named by the ids of their images.
    """
    marks.mkdir(parents=True, exist_ok=True)
    planted = {}
    for name, count in counts.items():
        chosen = _choose(splits[name], splits.labels, seed, count)
        shares = (1 - share, share) if name != "test" else (0.5, 0.5)
        planted[name] = tuple(
            _plant(sample, place < shares[label] * len(chosen[label]), splits.labels, seed, corner, marks)
            for label in chosen
            for place, sample in enumerate(chosen[label])
        )
    return replace(splits, reserve=(), **planted)


def _choose(samples: Sequence[Sample], labels: Sequence[str], seed: int, count: int) -> dict[int, list[Sample]]:
    """Equally many of each class in random order."""
    chosen = {}
    for label in range(len(labels)):
        of_class = sorted((sample for sample in samples if sample.label == label), key=lambda sample: sample.id)
        chosen[label] = random.Random(f"{seed} {label}").sample(of_class, count // len(labels))
    return chosen


def _plant(sample: Sample, has_tag: bool, labels: Sequence[str], seed: int, corner: str | None, marks: Path) -> Sample:
    group = {"tag": f"{labels[sample.label]} {'with' if has_tag else 'without'} tag"}
    if not has_tag:
        return replace(sample, groups=group)
    tag = Tag.draw(random.Random(derive_seed("tag", seed, sample.id)), corner)
    name = digest([sample.id, tag.corner, tag.side, tag.gap, tag.shade])
    opener = Marked(sample.opener, tag)
    if not (marks / f"{name}.png").exists():
        tag.mask(opener().size).save(marks / f"{name}.png")
    return replace(sample, id=name, opener=opener, groups=group)
