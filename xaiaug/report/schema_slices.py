"""Slices in a report: groups of guide images on which the classifier fails more often, each with a name."""

from __future__ import annotations

from .schema_base import Number, Row, Text
from .schema_causes import StatedCauseRow, TestedCauseRow


class SliceImageRow(Row):
    """A correctly classified image that slices are compared with.

    Attributes:
        id: of the guide image.
        image: blob.
    """

    id: str
    image: str


class SliceRow(Row):
    """One slice; the fields are those of `xaiaug.MistakeSlice`.

    Attributes:
        verdict: what a test of `cause` came to; None where none was made.
    """

    name: Text
    kind: str
    label: Text | None = None
    predicted: Text | None = None
    size: int
    mistakes: int
    accuracy: float
    low: float
    high: float
    rest: Number = None
    p: float
    ranked: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    contrast: tuple[str, ...] = ()
    cause: StatedCauseRow | None = None
    verdict: TestedCauseRow | None = None


class SlicesRow(Row):
    """What the search for slices came to.

    Attributes:
        slices: those that hold on the half that they were not found on, those with most mistakes first.
        unconfirmed: those that were found but do not hold.
        contrast: the images that the slices name in `contrast`.
        images: images that took part; accuracies are corrected for correct ones that did not.
        mistakes: how many of these are misclassified.
        reason: why there are no slices; empty if there are some.
    """

    slices: tuple[SliceRow, ...] = ()
    unconfirmed: tuple[SliceRow, ...] = ()
    contrast: tuple[SliceImageRow, ...] = ()
    images: int = 0
    mistakes: int = 0
    reason: Text = ""
