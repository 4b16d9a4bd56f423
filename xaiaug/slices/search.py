"""The search for slices: found on one half of the images, scored on the other."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..metrics import wilson_interval
from ..records import MistakeSlice, Slices, derive_seed
from ..records.mistake_slice import SLICE_KINDS
from ..statistics import fisher_test, holm_adjust
from .discovery import FEWEST, Membership, find_memberships
from .naming import Naming, name_slice
from .views import GuideImage

Array = NDArray[np.float64]

FEWEST_MISTAKES = 20  # of all; with fewer there is no search
ALPHA = 0.05
EXAMPLES = 9


def search_slices(
    images: Sequence[GuideImage],
    labels: Sequence[str],
    seed: int = 0,
    kinds: Collection[str] = SLICE_KINDS,
    oversampling: float = 1.0,
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
        oversampling: how many times likelier a mistake takes part than a correct image; accuracies are corrected by it.
    """
    ordered = sorted(images, key=lambda one: (one.id, one.listed, one.label))
    mistakes = sum(one.wrong for one in ordered)
    if reason := find_obstacle(mistakes, len(ordered)):
        return Slices(images=len(ordered), mistakes=mistakes, reason=reason)
    finding = [one for one in ordered if is_for_finding(one.id)]
    scoring = [one for one in ordered if not is_for_finding(one.id)]
    memberships = find_memberships(finding, kinds, derive_seed("slices", seed) % 2**31)
    if not memberships:
        return Slices(images=len(ordered), mistakes=mistakes, reason=_explain_nothing(finding))
    scored = _score(memberships, finding, scoring, labels, oversampling)
    held = [one for one in scored if one.p <= ALPHA and one.rest is not None and one.accuracy < one.rest]
    held.sort(key=lambda one: (-one.mistakes, one.name))
    unconfirmed = tuple(one for one in scored if one not in held)
    reason = "" if held else f"of {len(scored)} found on one half of the images none holds on the other"
    return Slices(tuple(held), unconfirmed, len(ordered), mistakes, reason)


def is_for_finding(image_id: str) -> bool:
    """Whether an image belongs to the half that slices are found on; its id alone decides."""
    return hashlib.sha256(f"slices {image_id}".encode()).digest()[0] % 2 == 0


def find_obstacle(mistakes: int, images: int) -> str:
    """Why there can be no slices, known before anything is measured; empty if there can be.

    Args:
        mistakes: misclassified images.
        images: all of them.
    """
    if mistakes < FEWEST_MISTAKES:
        return f"{mistakes} mistakes, and slices need at least {FEWEST_MISTAKES}"
    if mistakes == images:
        return "no image is classified correctly, so there is nothing to compare with"
    return ""


def _explain_nothing(finding: Sequence[GuideImage]) -> str:
    pairs = Counter((one.label, one.predicted) for one in finding if one.wrong)
    if sum(pairs.values()) < FEWEST:
        return f"{sum(pairs.values())} mistakes are in the half that slices are found on, and {FEWEST} are needed"
    return "no group of images has more mistakes than the others of its class"


@dataclass(frozen=True, eq=False)
class ScoredSlice:
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
    oversampling: float,
) -> list[MistakeSlice]:
    taken: set[str] = set()
    rows = []
    for one in memberships:
        inside, odds = _take(one, scoring, taken)
        found, found_odds = _take(one, finding, taken)
        taken |= {image.id for image in (*inside, *found)}
        rows.append((one, inside, odds, found, found_odds))
    scored = [
        ScoredSlice(
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
    return [_to_slice(one, p, labels, oversampling) for one, p in zip(scored, p_values, strict=True)]


def _take(one: Membership, images: Sequence[GuideImage], taken: set[str]) -> tuple[list[GuideImage], Array]:
    """The images that belong to a slice and to none before, the most typical first, with their log-odds."""
    free = [image for image in images if one.population.has(image) and image.id not in taken]
    odds = one.score(free)
    order = [int(i) for i in np.argsort(-odds, kind="stable") if odds[i] >= 0]
    return [free[i] for i in order], odds[order]


def _test(one: ScoredSlice) -> float:
    if not one.inside or not one.rest:
        return 1.0
    wrong = sum(image.wrong for image in one.inside)
    others = sum(image.wrong for image in one.rest)
    return fisher_test(wrong, len(one.inside), others, len(one.rest), greater=True)


def _to_slice(one: ScoredSlice, p: float, labels: Sequence[str], oversampling: float) -> MistakeSlice:
    population, size = one.membership.population, len(one.inside)
    wrong = sum(image.wrong for image in one.inside)
    low, high = (_correct(share, oversampling) for share in wilson_interval(size - wrong, size))
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
        accuracy=_correct((size - wrong) / size, oversampling) if size else 0.0,
        low=low,
        high=high,
        rest=_correct(len(rest) / len(one.rest), oversampling) if one.rest else None,
        p=p,
        ranked=tuple(image.listed for image in one.inside),
        cases=tuple(image.listed for _, image in cases if image.wrong),
        examples=tuple(mistakes[:EXAMPLES]),
        contrast=tuple(rest[int(i)].listed for i in order[:EXAMPLES]),
        cause=one.naming.cause,
    )


def _correct(accuracy: float, oversampling: float) -> float:
    """An accuracy as it would be if mistakes were not likelier to take part: its odds grow by so much."""
    return accuracy * oversampling / (accuracy * oversampling + 1 - accuracy)
