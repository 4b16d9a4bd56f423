"""Slices: mistakes that share what an image shows, or lacks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .cause import Cause, CauseVerdict
from .rendering import to_html

SLICE_KINDS = (
    "mark",
    "tint",
    "backdrop colour",
    "subject colour",
    "light",
    "sharpness",
    "size",
    "place",
    "heat",
    "measurements",
    "features",
)


@dataclass(frozen=True)
class MistakeSlice:
    """A group of images on which a classifier fails more often than on the others of their class.

    It was found on one half of the images; all counts, and the accuracy, are of the other half. An image is in one
    slice at most.

    Attributes:
        name: what its images have in common, in words.
        kind: how it was found, one of `SLICE_KINDS`: "mark" is a spot off the subject, "heat" where the heatmap
            lies, "measurements" several measured attributes together, "features" the classifier's embedding.
        label: name of the true class; None where it spans classes.
        predicted: name of the class that most of its mistakes are predicted as; None where it spans classes.
        size: images in it.
        mistakes: how many of these are misclassified.
        accuracy: share of correct ones, 0 to 1.
        low, high: its 95 % interval (Wilson).
        rest: accuracy on the images of the same classes that are in no slice; None if there are none.
        p: one-sided, that its accuracy is below theirs (Fisher), corrected for the number of slices (Holm).
        ranked: ids of its images, including correct ones, the most typical first.
        cases: ids of its mistakes from both halves, the most typical first.
        examples: ids for a sheet: its most typical mistakes.
        contrast: ids of correctly classified images of the same class outside it, the least typical first.
        cause: what its name states, where an intervention can test it.
        verdict: the result of such a test; None before the test.
    """

    name: str
    kind: str
    label: str | None
    predicted: str | None
    size: int
    mistakes: int
    accuracy: float
    low: float
    high: float
    rest: float | None
    p: float
    ranked: tuple[str, ...]
    cases: tuple[str, ...]
    examples: tuple[str, ...] = ()
    contrast: tuple[str, ...] = ()
    cause: Cause | None = None
    verdict: CauseVerdict | None = None

    def _repr_html_(self) -> str:
        return to_html(self)


@dataclass(frozen=True)
class Slices:
    """What a search for slices came to; iterating gives the slices that hold.

    Attributes:
        slices: those that hold on the half that they were not found on, by how many of the mistakes they cover.
        unconfirmed: those that were found but do not hold.
        images: images that took part.
        mistakes: how many of these are misclassified.
        reason: why there are no slices; empty if there are some.
    """

    slices: tuple[MistakeSlice, ...] = ()
    unconfirmed: tuple[MistakeSlice, ...] = ()
    images: int = 0
    mistakes: int = 0
    reason: str = ""

    def __iter__(self) -> Iterator[MistakeSlice]:
        return iter(self.slices)

    def __len__(self) -> int:
        return len(self.slices)

    def _repr_html_(self) -> str:
        return to_html(self)
