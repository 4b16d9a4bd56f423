"""Mechanisms: for each kind of cause, how an image gives it up or takes it on, and the same edit elsewhere.

A cause is exchanged between a failed image and correct images of its class. What an image takes on is the other's own
value, so no edit leaves the range of what photographs show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..imaging.image_stats import css_to_lab
from ..records import Cause
from .interventions import (
    change_tint,
    erase_region,
    place_subject,
    recolour_subject,
    relight,
    replace_backdrop,
    set_sharpness,
    shift_colour,
    transplant_region,
)
from .photo import Photo
from .regions import choose_other_box, locate_region

Floats = NDArray[np.float32]
Value = Callable[[Photo], Floats]


@dataclass(frozen=True)
class Attribute:
    """A property that every image has a value of.

    Attributes:
        value: its value, d.
        stated: the value that a cause states, d; None where it states none.
        tolerance: distance within which two values count as equal.
        give: the photo with the value of another photo.
        give_elsewhere: an edit of the same size that does not bring that value.
        of_subject: whether the subject must be found.
        reach: distance beyond which two values differ by more than this property: such images exchange nothing.
    """

    value: Value
    stated: Callable[[Cause], Floats | None]
    tolerance: float
    give: Callable[[Photo, Photo], Image.Image]
    give_elsewhere: Callable[[Photo, Photo], Image.Image]
    of_subject: bool = True
    reach: float = float("inf")


def _logarithm(value: float, least: float) -> Floats:
    return np.log([max(value, least)], dtype=np.float32)


def _colour(cause: Cause) -> Floats | None:
    return css_to_lab(cause.colour) if cause.colour is not None else None


def _tint_of(cause: Cause) -> Floats | None:
    return css_to_lab(cause.colour)[1:] if cause.colour is not None else None


def _number(least: float, root: Callable[[float, float], Floats] = _logarithm) -> Callable[[Cause], Floats | None]:
    return lambda cause: None if cause.value is None else root(cause.value, least)


def _shift_backdrop(photo: Photo, donor: Photo) -> Image.Image:
    return shift_colour(photo, donor.subject - photo.subject, 1 - photo.mask, photo.backdrop)


def _turn_tint(photo: Photo, donor: Photo) -> Image.Image:
    """A change of tint as large, at a right angle in the plane of a and b."""
    shift = donor.tint - photo.tint
    return change_tint(photo, np.array([0, -shift[2], shift[1]], np.float32))


def _scale(photo: Photo, donor: Photo, power: float) -> Image.Image:
    return place_subject(photo, float((donor.size / max(photo.size, 1e-3)) ** power))


def _move_away(photo: Photo, donor: Photo) -> Image.Image:
    """The subject moved as far, at a right angle to the way to the donor's place, inside the image where it can be."""
    across, down = (float(value) for value in donor.place - photo.place)
    ways = [np.array(way, np.float32) for way in ((-down, across), (down, -across))]
    return place_subject(photo, 1.0, photo.place + min(ways, key=lambda way: np.abs(photo.place + way - 0.5).max()))


ATTRIBUTES = {
    "colour": Attribute(
        lambda photo: photo.subject,
        _colour,
        20.0,
        lambda photo, donor: recolour_subject(photo, donor.subject),
        _shift_backdrop,
    ),
    # Its control is another backdrop that keeps, or lacks, the cause as the photo does: see `edit_control`.
    "backdrop": Attribute(lambda photo: photo.backdrop, _colour, 20.0, replace_backdrop, replace_backdrop),
    "tint": Attribute(
        lambda photo: photo.tint[1:],
        _tint_of,
        6.0,
        lambda photo, donor: change_tint(photo, donor.tint - photo.tint),
        _turn_tint,
        of_subject=False,
        reach=20.0,  # more is no cast of light or camera, but what the image shows
    ),
    "light": Attribute(
        lambda photo: _logarithm(photo.lightness, 0.02),
        _number(0.02),
        0.18,
        lambda photo, donor: relight(photo, donor.lightness),
        lambda photo, donor: relight(photo, photo.lightness**2 / max(donor.lightness, 0.02)),
        of_subject=False,
    ),
    "sharpness": Attribute(
        lambda photo: _logarithm(photo.sharpness, 0.02),
        _number(0.02),
        0.25,
        lambda photo, donor: set_sharpness(photo, donor.sharpness),
        lambda photo, donor: set_sharpness(photo, photo.sharpness**2 / max(donor.sharpness, 0.02)),
        of_subject=False,
    ),
    "size": Attribute(
        lambda photo: _logarithm(photo.size, 0.005),
        _number(0.005),
        0.35,
        lambda photo, donor: _scale(photo, donor, 0.5),
        lambda photo, donor: _scale(photo, donor, -0.5),
    ),
    "place": Attribute(
        lambda photo: photo.place,
        lambda _: None,
        0.12,
        lambda photo, donor: place_subject(photo, 1.0, donor.place),
        _move_away,
    ),
}


def is_editable(photo: Photo, cause: Cause) -> bool:
    """Whether the image can be edited by this kind of cause: its subject is found where that is needed."""
    return cause.kind == "region" or not ATTRIBUTES[cause.kind].of_subject or photo.has_subject


def is_exchangeable(photo: Photo, donor: Photo, cause: Cause) -> bool:
    """Whether two images, of which one has the cause, can exchange it."""
    if cause.kind == "region":
        return True
    attribute = ATTRIBUTES[cause.kind]
    return float(np.linalg.norm(attribute.value(photo) - attribute.value(donor))) <= attribute.reach


def has_cause(photo: Photo, cause: Cause, owner: Photo) -> bool:
    """Whether an image has what a cause names, present or absent.

    Args:
        photo: the image.
        cause: stated of `owner`.
        owner: the failed image; its own value stands in where a present cause states none.
    """
    if cause.kind == "region":
        if cause.colour is not None:
            return locate_region(photo, cause) is not None
        return (photo is owner) == cause.present
    attribute = ATTRIBUTES[cause.kind]
    stated = attribute.stated(cause)
    if stated is None:
        # Without a value only the owner's own tells: an image far from it has not what the owner has.
        near = float(np.linalg.norm(attribute.value(photo) - attribute.value(owner))) <= attribute.tolerance
        return near if cause.present else not near
    return float(np.linalg.norm(attribute.value(photo) - stated)) <= attribute.tolerance


def exchange(photo: Photo, donor: Photo, cause: Cause, has: bool, rng: np.random.Generator) -> Image.Image | None:
    """The photo after it gave up the cause, or took it on; None if it cannot be edited.

    Args:
        photo: the image.
        donor: an image that has the cause exactly if `photo` has not.
        cause: the cause.
        has: whether `photo` has it.
        rng: source of randomness.
    """
    if cause.kind != "region":
        return ATTRIBUTES[cause.kind].give(photo, donor) if is_editable(donor, cause) else None
    box = locate_region(photo if has else donor, cause)
    if box is None:
        return None
    return erase_region(photo, box, choose_other_box(photo, box, rng)) if has else transplant_region(photo, donor, box)


def edit_control(
    photo: Photo, donor: Photo, cause: Cause, has: bool, neutral: Photo | None, rng: np.random.Generator
) -> Image.Image | None:
    """The same edit where it does not touch the cause; None if there is no such place.

    Args:
        photo, donor, cause, has: as in `exchange`.
        neutral: an image that has the cause exactly if `photo` has it: its backdrop changes nothing about the cause.
        rng: source of randomness.
    """
    if cause.kind == "backdrop":
        return None if neutral is None else replace_backdrop(photo, neutral)
    if cause.kind != "region":
        return ATTRIBUTES[cause.kind].give_elsewhere(photo, donor) if is_editable(donor, cause) else None
    holder = photo if has else donor
    box = locate_region(holder, cause)
    other = None if box is None else choose_other_box(holder, box, rng)
    if box is None or other is None:
        return None
    if has:  # what covers it must not be the cause itself
        return erase_region(photo, other, choose_other_box(photo, other, rng, avoid=[box]))
    return transplant_region(photo, donor, other, box)
