"""The search for slices: found on one half of the images, scored on the other."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..records import MistakeSlice, Slices, derive_seed
from ..records.mistake_slice import SLICE_KINDS
from ..statistics import holm_adjust
from .discovery import FEWEST, Membership, count_tail, find_memberships
from .naming import Naming, name_slice
from .views import GuideImage

Array = NDArray[np.float64]

FEWEST_MISTAKES = 20  # of all; with fewer there is no search
ALPHA = 0.05
EXAMPLES = 9
CONFIDENCE = 1.959963984540054  # standard deviations of a 95 % interval


def search_slices(
    images: Sequence[GuideImage], labels: Sequence[str], seed: int = 0, kinds: Collection[str] = SLICE_KINDS
) -> Slices:
    """The slices of images on which a classifier fails more often than on the others of their class.

    In each confused pair of classes, and in each view (one measured attribute, a spot that returns, all attributes, the
    embedding), an error-aware mixture as in Domino (arXiv 2203.14960) is fitted to one half of the images. Of its
    components the one with the clearest excess of mistakes becomes a slice, its images are set aside, and the next is
    looked for. The other half, whose correct images are ranked beside the mistakes, gives its size and accuracy; a
    slice holds where that is below the accuracy of the rest (Fisher's exact test, Holm's correction).

    Args:
        images: correct and misclassified ones; their order does not matter.
        labels: names of the classes.
        seed: of the first clusters of the mixtures.
        kinds: what to look in, of `SLICE_KINDS`.
    """
    ordered = sorted(images, key=lambda one: (one.id, one.listed, one.label))
    mistakes = sum(one.wrong for one in ordered)
    if mistakes < FEWEST_MISTAKES:
        return _explain(ordered, mistakes, f"{mistakes} mistakes, and slices need at least {FEWEST_MISTAKES}")
    if mistakes == len(ordered):
        return _explain(ordered, mistakes, "no image is classified correctly, so there is nothing to compare with")
    finding = [one for one in ordered if is_for_finding(one.id)]
    scoring = [one for one in ordered if not is_for_finding(one.id)]
    memberships = find_memberships(finding, kinds, derive_seed("slices", seed) % 2**31)
    if not memberships:
        return _explain(ordered, mistakes, _explain_nothing(finding))
    scored = _score(memberships, finding, scoring, labels)
    held = [one for one in scored if one.p <= ALPHA and one.rest is not None and one.accuracy < one.rest]
    held.sort(key=lambda one: (-one.mistakes, one.name))
    unconfirmed = tuple(one for one in scored if one not in held)
    reason = "" if held else f"of {len(scored)} found on one half of the images none holds on the other"
    return Slices(tuple(held), unconfirmed, len(ordered), mistakes, reason)


def is_for_finding(image_id: str) -> bool:
    """Whether an image belongs to the half that slices are found on; its id alone decides."""
    return hashlib.sha256(f"slices {image_id}".encode()).digest()[0] % 2 == 0


def _explain(images: Sequence[GuideImage], mistakes: int, reason: str) -> Slices:
    return Slices(images=len(images), mistakes=mistakes, reason=reason)


def _explain_nothing(finding: Sequence[GuideImage]) -> str:
    pairs = Counter((one.label, one.predicted) for one in finding if one.wrong)
    if sum(pairs.values()) < FEWEST:
        return f"{sum(pairs.values())} mistakes are in the half that slices are found on, and {FEWEST} are needed"
    return "no group of images has more mistakes than the others of its class"


@dataclass(frozen=True, eq=False)
class _Scored:
    """A membership and the images of both halves that are in it, each in one slice at most."""

    membership: Membership
    naming: Naming
    inside: list[GuideImage]
    odds: Array
    rest: list[GuideImage]
    finding: list[GuideImage]
    finding_odds: Array


def _score(
    memberships: Sequence[Membership],
    finding: Sequence[GuideImage],
    scoring: Sequence[GuideImage],
    labels: Sequence[str],
) -> list[MistakeSlice]:
    taken: set[str] = set()
    rows = []
    for one in memberships:
        inside, odds = _take(one, scoring, taken)
        found, found_odds = _take(one, finding, taken)
        taken |= {image.id for image in (*inside, *found)}
        rows.append((one, inside, odds, found, found_odds))
    scored = [
        _Scored(
            one,
            name_slice(one, labels),
            inside,
            odds,
            [image for image in scoring if one.population.has(image) and image.id not in taken],
            found,
            found_odds,
        )
        for one, inside, odds, found, found_odds in rows
    ]
    p_values = [contrast.p for contrast in holm_adjust([_test(one) for one in scored])]
    return [_to_slice(one, p, labels) for one, p in zip(scored, p_values, strict=True)]


def _take(one: Membership, images: Sequence[GuideImage], taken: set[str]) -> tuple[list[GuideImage], Array]:
    """The images that belong to a slice and to none before, the most typical first, with their log-odds."""
    free = [image for image in images if one.population.has(image) and image.id not in taken]
    odds = one.score(free)
    order = [int(i) for i in np.argsort(-odds, kind="stable") if odds[i] >= 0]
    return [free[i] for i in order], odds[order]


def _test(one: _Scored) -> float:
    if not one.inside or not one.rest:
        return 1.0
    wrong = sum(image.wrong for image in one.inside)
    everything = wrong + sum(image.wrong for image in one.rest)
    return count_tail(wrong, len(one.inside), everything, len(one.inside) + len(one.rest))


def _to_slice(one: _Scored, p: float, labels: Sequence[str]) -> MistakeSlice:
    population, size = one.membership.population, len(one.inside)
    wrong = sum(image.wrong for image in one.inside)
    low, high = compute_wilson_interval(size - wrong, size)
    rest = [image for image in one.rest if not image.wrong]
    order = np.argsort(one.membership.score(rest), kind="stable")
    cases = sorted(
        [*zip(one.odds, one.inside, strict=True), *zip(one.finding_odds, one.finding, strict=True)],
        key=lambda pair: (-pair[0], pair[1].id),
    )
    mistakes = [image.listed for image in one.inside if image.wrong]
    return MistakeSlice(
        name=one.naming.words,
        kind=one.membership.view.kind,
        label=None if population.label is None else labels[population.label],
        predicted=None if population.predicted is None else labels[population.predicted],
        size=size,
        mistakes=wrong,
        accuracy=(size - wrong) / size if size else 0.0,
        low=low,
        high=high,
        rest=len(rest) / len(one.rest) if one.rest else None,
        p=p,
        ranked=tuple(image.listed for image in one.inside),
        cases=tuple(image.listed for _, image in cases if image.wrong),
        examples=tuple(mistakes[:EXAMPLES]),
        contrast=tuple(rest[int(i)].listed for i in order[:EXAMPLES]),
        cause=one.naming.cause,
    )


def compute_wilson_interval(right: int, size: int) -> tuple[float, float]:
    """The 95 % interval of a share; 0 to 1 without any images."""
    if size == 0:
        return 0.0, 1.0
    share, square = right / size, CONFIDENCE**2
    middle = (share + square / (2 * size)) / (1 + square / size)
    half = CONFIDENCE * float(np.sqrt(share * (1 - share) / size + square / (4 * size**2))) / (1 + square / size)
    # Rounding must not put the share outside.
    return min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half))
