"""Finds looks that are hot in the maps of many images off the subject: a tag, a watermark, a bowl.

A look is a colour and a size. It is found where a map is hot, and then counted by pixels: an image has it whether or
not its own map is hot there. Absence is found so too: images that lack what the others of their class have.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...causes.photo import Photo
from ...causes.regions import find_spot
from ...imaging.image_stats import lab_to_hex
from ...records import Case, Cause, Explanation, Failure
from ...statistics import fisher_test
from .._hot_region import RegionOptions, find_region
from .._superpixels import subject_mask

Floats = NDArray[np.float32]

SIDE = 96  # longer side, in pixels, at which looks are compared
UNLIKE = 18.0  # Lab distance from the colours around it from which a pixel belongs to a spot
LEAST_SPOT = 0.1  # of the hot window
ALIKE = 14.0  # Lab distance within which two looks are one
FEWEST_HOT = 4  # images in which a look must be hot
FEWEST_CORRECT = 8  # correct images of a class; fewer allow no comparison
MOST_LOOKS = 5
USUAL = 0.5  # share of the correct images of a class that have what another image can be said to lack
RARE, COMMON = 0.5, 2.0  # the share in one class over that in the other from which a look goes with a class


@dataclass(frozen=True, eq=False)
class Look:
    """A look that is hot in several images.

    Attributes:
        colour: 3, Lab.
        share: of the image, typically.
        hot: ids of the images in whose map it is hot.
    """

    colour: Floats
    share: float
    hot: frozenset[str]


@dataclass(frozen=True)
class Count:
    """How many of so many images have a look."""

    count: int
    of: int

    @property
    def share(self) -> float:
        """0 to 1."""
        return self.count / self.of if self.of else 0.0


@dataclass(frozen=True, eq=False)
class RegionFinding:
    """A look that an image has or lacks, unlike the correct images of its class.

    Attributes:
        cause: as a record.
        correct: correct images of the true class that have it.
        predicted: correct images of the predicted class that have it.
        mistakes: mistakes of the same two classes that have it.
        hot: images in whose map it is hot: of the correct ones of the class that has it, and of all.
        p: of Fisher's exact test between the two classes, corrected for the number of looks.
    """

    cause: Cause
    correct: Count
    predicted: Count
    mistakes: Count
    hot: tuple[int, int]
    p: float


@dataclass(frozen=True, eq=False)
class _Peer:
    id: str
    label: str
    predicted: str
    photo: Photo
    spot: tuple[Floats, float] | None  # the colour and share of what is hot off the subject


class SharedRegions:
    """The looks that the maps of explained images share.

    Args:
        explained: mistakes and correct images, with their maps.
    """

    def __init__(self, explained: Iterable[Case]) -> None:
        self._peers = [_to_peer(case) for case in explained]
        self.looks = _find_looks(self._peers)
        self._has = [{peer.id for peer in self._peers if _has(peer.photo, look)} for look in self.looks]

    def findings(self, case: Case, level: float) -> list[RegionFinding]:
        """The looks that go with one of the case's two classes and are not where they belong, most certain first."""
        if not self.looks or case.label == case.predicted:
            return []
        photo = _shrink(case.image)
        found = [self._compare(number, case, photo) for number in range(len(self.looks))]
        return sorted((one for one in found if one is not None and one.p <= level), key=lambda one: one.p)

    def _compare(self, number: int, case: Case, photo: Photo) -> RegionFinding | None:
        look = self.looks[number]
        label, predicted = (self._count(number, name, name) for name in (case.label, case.predicted))
        if min(label.of, predicted.of) < FEWEST_CORRECT:
            return None
        box = find_spot(photo, look.colour, look.share)
        present = predicted.share > COMMON * label.share
        absent = predicted.share < RARE * label.share and label.share >= USUAL
        if not (present and box is not None) and not (absent and box is None):
            return None
        owner = case.predicted if present else case.label
        cause = Cause("region", present, lab_to_hex(look.colour), round(look.share, 4), box if present else None)
        return RegionFinding(
            cause=cause,
            correct=label,
            predicted=predicted,
            mistakes=self._count(number, case.label, case.predicted),
            hot=(
                sum(peer.id in look.hot and peer.label == peer.predicted == owner for peer in self._peers),
                len(look.hot),
            ),
            p=min(1.0, fisher_test(label.count, label.of, predicted.count, predicted.of) * len(self.looks)),
        )

    def _count(self, number: int, label: str, predicted: str) -> Count:
        of = [peer.id for peer in self._peers if (peer.label, peer.predicted) == (label, predicted)]
        return Count(sum(name in self._has[number] for name in of), len(of))


def _to_peer(case: Case) -> _Peer:
    photo = _shrink(case.image)
    return _Peer(case.id, case.label, case.predicted, photo, _find_hot_spot(photo, case.explanation))


def _shrink(image: Image.Image) -> Photo:
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    return Photo("", small, subject_mask)


def _find_hot_spot(photo: Photo, explanation: Explanation | None) -> tuple[Floats, float] | None:
    """Colour and share of what is hot off the subject and unlike the colours around it; None if nothing is."""
    if explanation is None or explanation.degenerate:
        return None
    mask, small = photo.mask, _shrink_map(explanation, photo)
    region = find_region(small, mask, RegionOptions())
    if isinstance(region, Failure):
        return None
    left, top, right, bottom = region.box(photo.image.size)
    inside = photo.lab[top:bottom, left:right].reshape(-1, 3)
    around = (photo.backdrop, photo.subject)
    unlike = np.min([np.linalg.norm(inside - colour, axis=1) for colour in around], axis=0) > UNLIKE
    if unlike.mean() < LEAST_SPOT:
        return None
    colour = np.median(inside[unlike], axis=0).astype(np.float32)
    return colour, float(unlike.sum()) / (mask.shape[0] * mask.shape[1])


def shrink_case(image: Image.Image, explanation: Explanation) -> tuple[Photo, Explanation]:
    """The image and its map at the size at which looks are compared."""
    photo = _shrink(image)
    return photo, _shrink_map(explanation, photo)


def _shrink_map(explanation: Explanation, photo: Photo) -> Explanation:
    heatmap = _resize(explanation.heatmap, photo.image.size[::-1])
    return Explanation(heatmap, explanation.method, explanation.target, explanation.class_specific)


def _resize(heatmap: Floats, shape: tuple[int, ...]) -> Floats:
    seen = np.isfinite(heatmap)
    filled = np.where(seen, heatmap, heatmap[seen].min() if seen.any() else 0).astype(np.float32)
    return np.asarray(Image.fromarray(filled).resize((shape[1], shape[0]), Image.Resampling.BOX))


def _find_looks(peers: Sequence[_Peer]) -> list[Look]:
    """The looks that are hot in most images, each once."""
    spots = [(peer.id, *peer.spot) for peer in peers if peer.spot is not None]
    looks: list[Look] = []
    while spots and len(looks) < MOST_LOOKS:
        colours = np.stack([colour for _, colour, _ in spots])
        near = np.linalg.norm(colours[:, None] - colours[None], axis=-1) <= ALIKE
        centre = int(near.sum(axis=1).argmax())
        members = [spot for spot, inside in zip(spots, near[centre], strict=True) if inside]
        if len(members) < FEWEST_HOT:
            break
        colour = np.median([one for _, one, _ in members], axis=0).astype(np.float32)
        share = float(np.median([one for *_, one in members]))
        looks.append(Look(colour, share, frozenset(name for name, *_ in members)))
        spots = [spot for spot, inside in zip(spots, near[centre], strict=True) if not inside]
    return looks


def _has(photo: Photo, look: Look) -> bool:
    return find_spot(photo, look.colour, look.share) is not None
