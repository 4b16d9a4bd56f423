"""Backdrops: training images whose subject is removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ...imaging.image_stats import rgb_to_lab, to_pixels, typical_colour
from ...imaging.inpainting import fill_subject
from ...records import Sample
from .._superpixels import SIDE, subject_mask
from ._mask_folder import BadMaskError

Floats = NDArray[np.float32]

NEAREST = 8  # of the backdrops nearest to a requested colour, one of so many is chosen at random
HOLES = (0.3, 0.5)  # share of the image that its subject may cover: less, if there are enough, since holes are blurred


@dataclass(frozen=True, eq=False)
class Backdrop:
    """A training image that may serve as backdrop.

    Attributes:
        sample: the training image.
        colour: median Lab of its backdrop.
        subject: the share of the image that its own subject covers, 0 to 1.
    """

    sample: Sample
    colour: Floats
    subject: float


def find_backdrops(
    samples: Sequence[Sample], most: int, seed: int, mask_of: Callable[[Sample, tuple[int, int]], Floats | None]
) -> list[Backdrop]:
    """At most `most` backdrops from a random choice of training images: those whose subject covers little.

    Args:
        samples: the training images.
        most: how many of them to consider.
        seed: of the choice.
        mask_of: the mask of a training image at a size (width, height); None: our own segmentation. Images for which
            it raises BadMaskError are skipped.
    """
    ordered = sorted(samples, key=lambda sample: sample.id)
    order = np.random.default_rng([seed, 1]).permutation(len(ordered))[:most]
    backdrops = [backdrop for i in order if (backdrop := _measure(ordered[i], mask_of)) is not None]
    for largest in HOLES:
        if len(fitting := [backdrop for backdrop in backdrops if backdrop.subject < largest]) >= NEAREST:
            return fitting
    return fitting or backdrops


def _measure(sample: Sample, mask_of: Callable[[Sample, tuple[int, int]], Floats | None]) -> Backdrop | None:
    small = sample.open().convert("RGB")
    small.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    try:
        mask = mask_of(sample, small.size)
    except BadMaskError:
        return None
    mask = subject_mask(small) if mask is None else mask
    return Backdrop(sample, typical_colour(rgb_to_lab(to_pixels(small)), 1 - mask), float(mask.mean()))


def choose_backdrop(candidates: Sequence[Backdrop], colour: Floats | None, rng: np.random.Generator) -> Backdrop:
    """A random backdrop: one of those nearest to `colour`, Lab, or any."""
    if colour is None:
        return candidates[int(rng.integers(len(candidates)))]
    distances = [float(np.linalg.norm(backdrop.colour - colour)) for backdrop in candidates]
    nearest = np.argsort(distances, kind="stable")[:NEAREST]
    return candidates[int(nearest[int(rng.integers(len(nearest)))])]


def remove_subject(photo: Image.Image, size: tuple[int, int], mask: Floats | None = None) -> Floats:
    """The photo at `size` (width, height), its subject filled in from its surroundings: h w 3, Lab.

    Args:
        photo: RGB.
        size: width, height; the photo is cropped to this aspect ratio.
        mask: of its subject, at the size of the photo; None: the subject is segmented.
    """
    fitted = ImageOps.fit(photo.convert("RGB"), size, Image.Resampling.LANCZOS)
    if mask is None:
        mask = subject_mask(fitted)
    else:
        mask = np.asarray(ImageOps.fit(Image.fromarray(mask), size, Image.Resampling.BOX))
    return fill_subject(rgb_to_lab(to_pixels(fitted)), mask)
