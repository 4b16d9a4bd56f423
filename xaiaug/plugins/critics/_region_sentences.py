"""Sentences about regions that heatmaps mark, with counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...causes import describe_cause
from ...causes.wording import describe_box
from ...imaging.image_stats import colour_name
from ...records import Case, Failure, label_to_words
from .._hot_region import RegionOptions, find_region
from ._shared_regions import Count, RegionFinding, shrink_case


def describe_region(finding: RegionFinding, label: str, predicted: str) -> str:
    """A region as the cause, in one sentence with counts."""
    true, other = label_to_words(label), label_to_words(predicted)
    what = describe_cause(finding.cause)
    if finding.cause.present:
        return (
            f"{what[:1].upper()}{what[1:]}, off the subject: {_of(finding.predicted)} correct images of {other} have "
            f"it, and {_of(finding.correct)} of {true}."
        )
    spot = describe_cause(finding.cause).partition(",")[0].removeprefix("a ").removeprefix("an ")
    lack = finding.mistakes.of - finding.mistakes.count
    return (
        f"The image lacks the {spot} that {_of(finding.correct)} correct images of {true} have; so do {lack} of the "
        f"{finding.mistakes.of} images of {true} called {other}."
    )


def list_regions(findings: Sequence[RegionFinding], label: str, predicted: str) -> list[str]:
    """One line of numbers for each region."""
    return [_evidence(finding, label_to_words(label), label_to_words(predicted)) for finding in findings]


def _evidence(finding: RegionFinding, label: str, predicted: str) -> str:
    owner = predicted if finding.cause.present else label
    return (
        f"region: {describe_cause(finding.cause)} ({finding.cause.colour}, {finding.cause.value:.1%} of the image); in "
        f"{_of(finding.correct)} correct images of {label}, {_of(finding.predicted)} of {predicted} and "
        f"{_of(finding.mistakes)} of {label} called {predicted} (corrected p = {finding.p:.2g}); hot in the maps of "
        f"{finding.hot[0]} correct images of {owner}, and of {finding.hot[1]} explained images in all"
    )


def list_hot_place(case: Case) -> list[str]:
    """A line about the hottest place off the subject in this image's own map; none where no place stands out."""
    if case.explanation is None:
        return []
    photo, small = shrink_case(case.image, case.explanation)
    region = find_region(small, photo.mask, RegionOptions())
    if isinstance(region, Failure) or region.heat is None:
        return []
    left, top, right, bottom = region.box(photo.image.size)
    colour = np.median(photo.lab[top:bottom, left:right], axis=(0, 1))
    box = (region.left, region.top, region.right, region.bottom)
    area = (region.right - region.left) * (region.bottom - region.top)
    return [
        f"hottest place off the subject: {describe_box(box)}, {area:.0%} of the image, {region.heat:.0%} of the heat "
        f"there, {colour_name(colour.astype(np.float32))}"
    ]


def _of(count: Count) -> str:
    return f"{count.count} of {count.of}"
