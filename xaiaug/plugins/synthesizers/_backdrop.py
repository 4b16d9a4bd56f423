"""Backdrops: training images without their subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ...records import Sample
from .._colour import lab, pixels
from .._subject import SIDE, subject_mask

Floats = NDArray[np.float32]

NEAREST = 8  # how many of the backdrops nearest to a wished colour lots are drawn among


@dataclass(frozen=True, eq=False)
class Plate:
    """A backdrop that may be chosen.

    Attributes:
        sample: the training image it is made of.
        colour: median Lab of its backdrop.
        subject: the share of it that its own subject takes, 0 to 1.
    """

    sample: Sample
    colour: Floats
    subject: float


def plates(samples: Sequence[Sample], most: int, seed: int) -> list[Plate]:
    """At most `most` backdrops, of training images drawn by `seed`: those whose subject leaves enough to see."""
    ordered = sorted(samples, key=lambda sample: sample.id)
    order = np.random.default_rng([seed, 1]).permutation(len(ordered))[:most]
    found = [_plate(ordered[i]) for i in order]
    return [plate for plate in found if plate.subject < 0.5] or found


def _plate(sample: Sample) -> Plate:
    small = sample.open().convert("RGB")
    small.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    mask = subject_mask(small)
    values = lab(pixels(small))[mask <= max(0.3, float(np.quantile(mask, 0.05)))]
    return Plate(sample, np.median(values, axis=0).astype(np.float32), float(mask.mean()))


def chosen(candidates: Sequence[Plate], colour: Floats | None, rng: np.random.Generator) -> Plate:
    """A backdrop by lot: among those nearest to `colour`, Lab, or among all."""
    if colour is None:
        return candidates[int(rng.integers(len(candidates)))]
    distances = [float(np.linalg.norm(plate.colour - colour)) for plate in candidates]
    nearest = np.argsort(distances, kind="stable")[:NEAREST]
    return candidates[int(nearest[int(rng.integers(len(nearest)))])]


def emptied(photo: Image.Image, size: tuple[int, int]) -> Floats:
    """The photo at `size` (width, height), its subject painted over with what surrounds it: h w 3, Lab."""
    from scipy.ndimage import binary_dilation

    fitted = ImageOps.fit(photo.convert("RGB"), size, Image.Resampling.LANCZOS)
    hole = binary_dilation(subject_mask(fitted) > 0.25, iterations=max(2, max(size) // 32))
    colours = lab(pixels(fitted))
    if hole.mean() > 0.97:  # nothing but subject: its mean colour, the little that is known of it
        return np.broadcast_to(colours.mean(axis=(0, 1)), colours.shape).astype(np.float32)
    return _filled(colours, hole)


def _filled(colours: Floats, hole: NDArray[np.bool_]) -> Floats:
    """Colours in the hole from around it: broad ones by blurring inwards, detail mirrored at the hole's rim."""
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    broad = _blurred_inwards(colours, ~hole)
    detail = colours - broad
    _, nearest = distance_transform_edt(hole, return_indices=True)
    here = np.indices(hole.shape)
    bounds = np.array(hole.shape).reshape(2, 1, 1) - 1
    mirrored = np.clip(2 * nearest - here, 0, bounds)
    inside = hole[tuple(mirrored)]
    y, x = np.where(inside, nearest, mirrored)
    blend = gaussian_filter(hole.astype(np.float32), 1.0)[..., None]
    filled: Floats = (1 - blend) * colours + blend * (broad + np.where(inside[..., None], 0, detail[y, x]))
    filled[~hole] = colours[~hole]
    return filled


def _blurred_inwards(colours: Floats, known: NDArray[np.bool_]) -> Floats:
    """Weighted means of the known colours, of the narrowest neighbourhood that knows any: h w 3."""
    from scipy.ndimage import gaussian_filter

    result = np.zeros_like(colours)
    missing = np.ones(known.shape, np.float32)
    for radius in (2, 4, 8, 16, 32, 64, 128):
        weight = gaussian_filter(known.astype(np.float32), radius)
        sums = np.stack([gaussian_filter(colours[..., c] * known, radius) for c in range(3)], axis=-1)
        trust = missing * np.clip(weight * 8, 0, 1)
        result += trust[..., None] * sums / np.maximum(weight, 1e-6)[..., None]
        missing = missing - trust
        if missing.max() < 0.01:
            break
    rest = colours[known].mean(axis=0) if known.any() else colours.mean(axis=(0, 1))
    blurred: Floats = result + missing[..., None] * rest
    return blurred
