"""Finds a region by its look, and places of the same size that do not touch it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..imaging.image_stats import css_to_lab
from ..records import Cause
from ..records.cause import Box
from .interventions import region_colour
from .photo import Photo

Floats = NDArray[np.float32]

SIDE = 96  # longer side, in pixels, at which a region is looked for
ALIKE = 16.0  # Lab distance within which a pixel has the colour of a region
SHARE = (0.002, 0.15)  # of the image, for a region of unknown size
FACTOR = 3.0  # by which the area of a region may differ from the stated one
SOLID = 0.5  # least share of its box that a region covers
TRIES = 24


def locate_region(photo: Photo, cause: Cause) -> Box | None:
    """Where a stated region is in an image; None if it is not there.

    A region with a colour is at the stated box if that has the colour, else wherever a solid spot of that colour and
    size is found. A region without a colour is at its box.
    """
    if cause.colour is None:
        return cause.box
    colour = css_to_lab(cause.colour)
    if cause.box is not None and float(np.linalg.norm(region_colour(photo, cause.box) - colour)) <= ALIKE:
        return cause.box
    share = cause.value
    if share is None and cause.box is not None:
        share = (cause.box[2] - cause.box[0]) * (cause.box[3] - cause.box[1])
    return find_spot(photo, colour, share)


def find_spot(photo: Photo, colour: Floats, share: float | None = None) -> Box | None:
    """The most solid spot of a colour (3, Lab), about `share` of the image in size; None if there is none."""
    from scipy.ndimage import find_objects, label

    distance = np.linalg.norm(photo.lab - colour, axis=-1).astype(np.float32)
    scale = min(1.0, SIDE / max(distance.shape))
    size = (max(8, round(distance.shape[1] * scale)), max(8, round(distance.shape[0] * scale)))
    small = np.asarray(Image.fromarray(distance).resize(size, Image.Resampling.BOX))
    low, high = SHARE if share is None else (share / FACTOR, share * FACTOR)
    pieces, count = label(small <= ALIKE)
    best, found = 0.0, None
    for number, window in enumerate(find_objects(pieces), 1):
        inside = pieces[window] == number
        area, solid = inside.sum() / small.size, float(inside.mean())
        if low <= area <= high and solid >= SOLID and solid * area > best:
            best = solid * area
            (top, bottom), (left, right) = ((s.start, s.stop) for s in window)
            found = (left / size[0], top / size[1], right / size[0], bottom / size[1])
    return found if count else None


def choose_other_box(photo: Photo, box: Box, rng: np.random.Generator, avoid: Sequence[Box] = ()) -> Box | None:
    """A box of the same size that touches neither `box` nor another, and covers about as much of the subject.

    Args:
        photo: the image; where its subject is not clear, any place will do.
        box: the box.
        rng: source of randomness.
        avoid: further boxes that it must not touch.

    Returns:
        The box; None if none fits.
    """
    width, height = box[2] - box[0], box[3] - box[1]
    wanted = _subject_share(photo, box)
    found: list[tuple[float, Box]] = []
    for _ in range(TRIES):
        left, top = float(rng.uniform(0, 1 - width)), float(rng.uniform(0, 1 - height))
        other = (left, top, min(1.0, left + width), min(1.0, top + height))
        if not any(_touch(one, other) for one in (box, *avoid)):
            found.append((abs(_subject_share(photo, other) - wanted), other))
    return min(found, default=(0.0, None), key=lambda entry: entry[0])[1]


def _touch(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _subject_share(photo: Photo, box: Box) -> float:
    if not photo.has_subject:
        return 0.0
    height, width = photo.mask.shape
    window = photo.mask[int(box[1] * height) : int(box[3] * height) + 1, int(box[0] * width) : int(box[2] * width) + 1]
    return float(window.mean()) if window.size else 0.0
