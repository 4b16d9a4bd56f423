"""Looks that return in many images, such as a tag's; and whether an image has one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ..imaging.image_stats import lab_to_hex
from .windows import OFF, Windows, pick_windows

Floats = NDArray[np.float32]

EACH = 2  # windows of an image that may be a mark
RADIUS = 14.0  # distance in Lab within which two windows look alike
LEAST = 5  # images that a look must return in
MOST_LOOKS = 10
WIDESPREAD = 0.25  # share of an image off its subject above which a look is a backdrop, and no mark


@dataclass(frozen=True, eq=False)
class Look:
    """How a mark looks, wherever it lies.

    Attributes:
        values: 6: mean and standard deviation of each channel of Lab.
        size: its side as a share of the image's.
    """

    values: Floats
    size: float
    _found: WeakKeyDictionary[Windows, tuple[float, Floats]] = field(default_factory=WeakKeyDictionary, repr=False)

    @property
    def colour(self) -> Floats:
        """Its mean colour: 3, Lab."""
        return self.values[:3]

    @property
    def hex(self) -> str:
        """ "#rrggbb" of its mean colour."""
        return lab_to_hex(self.colour)


def find_looks(images: Sequence[Windows]) -> list[Look]:
    """The looks that return in most of the images, at most ten, the commonest first.

    Each image proposes the windows that are hottest, or stand out most, off its subject. The window with most images
    alike becomes a look; what is alike is set aside, and the next is taken. What covers much of an image is no mark.
    """
    proposed = [(number, place) for number, one in enumerate(images) for place in pick_windows(one, EACH)]
    if not proposed:
        return []
    owners = np.array([number for number, _ in proposed])
    values = np.stack([images[number].looks[place] for number, place in proposed])
    sizes = np.array([images[number].size[place] for number, place in proposed])
    alike = np.linalg.norm(values[:, None] - values[None], axis=2) <= RADIUS
    left = np.ones(len(values), bool)
    looks: list[Look] = []
    while len(looks) < MOST_LOOKS:
        counts = np.array([len(set(owners[row & left])) if left[i] else 0 for i, row in enumerate(alike)])
        best = int(counts.argmax())
        if counts[best] < max(LEAST, 0.02 * len(images)):
            break
        members = alike[best] & left
        look = Look(np.median(values[members], axis=0).astype(np.float32), float(np.median(sizes[members])))
        near = any(float(np.linalg.norm(look.values - other.values)) < 2 * RADIUS for other in looks)
        covered = [_measure_coverage(look, images[number]) for number in sorted(set(owners[members].tolist()))]
        if not near and float(np.median(covered)) <= WIDESPREAD:
            looks.append(look)
        left &= ~members
    return looks


def _measure_coverage(look: Look, windows: Windows) -> float:
    """The share of the windows off the subject that look alike."""
    off = windows.off >= OFF
    return float((np.linalg.norm(windows.looks[off] - look.values, axis=1) <= RADIUS).mean()) if off.any() else 0.0


def measure_presence(look: Look, windows: Windows) -> tuple[float, Floats]:
    """How far the window most like a look is from it, in Lab, and where that window is: x y."""
    if windows not in look._found:
        look._found[windows] = _find_window(look, windows)
    return look._found[windows]


def _find_window(look: Look, windows: Windows) -> tuple[float, Floats]:
    distance = np.linalg.norm(windows.looks - look.values, axis=1)
    off = windows.off >= OFF
    if off.any():
        distance = np.where(off, distance, np.inf)
    best = int(distance.argmin())
    return float(distance[best]), windows.centres[best]
