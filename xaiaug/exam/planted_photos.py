"""Planted sets of a user's photographs: a tag in a corner, or the subject before a plain backdrop of another class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from ..errors import DataError
from ..petworld.palette import BACKDROPS, rgb
from ..petworld.tag import CORNERS, tag_box
from ..records import Cause, Sample, derive_seed, digest
from .planted_sets import CORRECT_FOR_ONE, LABELS, PLANTED, PlantedSet, Rule, TagPainter

SIDE = 256  # pixels of the longer side: so much the rules need, and a panel shows
GRAIN = 4.0  # standard deviation of the noise of a plain backdrop, of 255

FindSubject = Callable[[str, Image.Image], NDArray[np.float32] | None]


@dataclass(frozen=True)
class _Photo:
    id: str
    sample: Sample = field(compare=False)

    def __call__(self) -> Image.Image:
        return _open(self).copy()


@lru_cache(maxsize=400)
def _open(photo: _Photo) -> Image.Image:
    """An exam opens each image many times."""
    image = photo.sample.open().convert("RGB")
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return image


@dataclass(frozen=True)
class _BeforeBackdrop:
    """The subject of a photograph before a plain backdrop; without one where none is found."""

    opener: _Photo
    colour: str
    seed: int
    find_subject: FindSubject

    def __call__(self) -> Image.Image:
        photo = self.opener()
        mask = self.find_subject(self.opener.id, photo)
        grain = np.random.default_rng(self.seed).normal(0, GRAIN, (photo.height, photo.width, 1))
        pixels = np.clip(np.array(rgb(self.colour)) + grain, 0, 255).astype(np.uint8)
        backdrop = Image.fromarray(np.broadcast_to(pixels, (photo.height, photo.width, 3)).copy())
        if mask is not None:
            soft = Image.fromarray(np.round(255 * np.clip(mask, 0, 1)).astype(np.uint8))
            backdrop.paste(photo, mask=soft.filter(ImageFilter.GaussianBlur(0.6)))
        return backdrop


def list_photo_sets(*, subjects: bool) -> tuple[str, ...]:
    """The planted causes that photographs can have: backdrops need their subjects."""
    return tuple(name for name, rule in PLANTED.items() if rule.kind == "tag" or subjects)


def create_photo_set(
    name: str,
    photos: Mapping[str, Sequence[Sample]],
    mistakes: int,
    seed: int = 0,
    find_subject: FindSubject | None = None,
) -> PlantedSet:
    """A set of photographs with so many mistakes, half of each class, and four correct images for each.

    No photograph is in a set twice. The second class has the cause, the first has not; in a mistake it is the other way
    round.

    Args:
        name: a name of `list_photo_sets`.
        photos: of two classes, by their names.
        mistakes: at least 2.
        seed: the same seed gives the same images.
        find_subject: the subject's mask, h w, 0 to 1, by an image's id and pixels; None where none is clear. Needed for
            backdrops.

    Raises:
        DataError: a class has too few photographs that can be used.
    """
    samples, truth = [], {}
    for label, (class_name, of_class) in enumerate(photos.items()):
        rng = np.random.default_rng(derive_seed("exam", name, seed, label))
        chosen = [_Photo(of_class[i].id, of_class[i]) for i in rng.permutation(len(of_class))]
        wanted = [True] * (mistakes // 2) + [False] * (CORRECT_FOR_ONE * mistakes // 2)
        for broken in wanted:
            planted = _plant_next(PLANTED[name], chosen, label, broken, rng, find_subject)
            if planted is None:
                raise DataError(
                    f"exam: {len(wanted)} photographs of {class_name!r} are needed for the cause {name}, and of "
                    f"{len(of_class)} too few can be used (of the others a corner has the tag's colour already, or no "
                    "subject is clear); give more, or fewer --cases"
                )
            samples.append(planted[0])
            if broken:
                truth[planted[0].id] = planted[1]
    return PlantedSet(name, PLANTED[name], tuple(samples), truth, tuple(photos))


def _plant_next(
    rule: Rule,
    photos: list[_Photo],
    label: int,
    broken: bool,
    rng: np.random.Generator,
    find_subject: FindSubject | None,
) -> tuple[Sample, Cause] | None:
    """The next photograph that looks to the rule as it is meant, with its cause; takes it and those before it."""
    while photos:
        photo = photos.pop()
        opener, cause = _plant(rule, photo, bool(label) != broken, rng, find_subject)
        if cause.kind == "backdrop" and find_subject is not None and find_subject(photo.id, photo()) is None:
            continue
        if rule.finds(opener()) == (bool(label) != broken):
            return Sample(id=digest([photo.id, repr(cause)]), label=label, opener=opener), cause
    return None


def _plant(
    rule: Rule, photo: _Photo, has: bool, rng: np.random.Generator, find_subject: FindSubject | None
) -> tuple[Callable[[], Image.Image], Cause]:
    seed = int(rng.integers(2**31))
    if rule.kind == "backdrop":
        if find_subject is None:
            raise DataError("exam: backdrops are planted behind subjects: give masks or a segmenter")
        tones = [tone.colour for tone in BACKDROPS.values() if tone.label == LABELS[int(has)]]
        colour = tones[seed % len(tones)]
        return _BeforeBackdrop(photo, colour, seed, find_subject), Cause("backdrop", colour=colour)
    if not has:
        return photo, Cause("region", present=False, colour=rule.colour)
    corner = CORNERS[seed % len(CORNERS)]
    return TagPainter(photo, rule.colour, corner), Cause("region", colour=rule.colour, box=tag_box(corner))
