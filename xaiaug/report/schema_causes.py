"""Tests of causes in a report: what a critic stated of a slice of mistakes, and what the experiment came to."""

from __future__ import annotations

from typing import Literal

from .schema_base import Number, Row, Text


class StatedCauseRow(Row):
    """A stated cause; the fields are those of `xaiaug.Cause`."""

    kind: str
    present: bool = True
    colour: str | None = None
    value: Number = None
    box: tuple[float, float, float, float] | None = None


class EditedImageRow(Row):
    """One image of the experiment.

    Attributes:
        id: of the guide image.
        before, after: blobs: the image, and the image after the cause's edit.
        elsewhere: blob: after the same edit elsewhere.
        right: whether each of the three is classified correctly.
    """

    id: str
    before: str
    after: str
    elsewhere: str
    right: tuple[bool, bool, bool]


class TestedCauseRow(Row):
    """The verdict on one slice; the fields are those of `xaiaug.records.CauseVerdict`.

    Attributes:
        mistakes: some of the failed images, before and after.
        of_correct: some of the correct images, before and after.
    """

    cause: StatedCauseRow
    label: Text
    predicted: Text
    outcome: Literal["confirmed", "refuted", "suggestive", "untestable"]
    sentence: Text
    cases: tuple[str, ...] = ()
    tested: int = 0
    fixed: int = 0
    fixed_elsewhere: int = 0
    fixed_by_nuisance: int = 0
    nuisance: str = ""
    correct: int = 0
    broken: int = 0
    broken_elsewhere: int = 0
    broken_by_nuisance: int = 0
    nuisance_of_correct: str = ""
    effect: Number = None
    low: Number = None
    high: Number = None
    p: float = 1.0
    mistakes: tuple[EditedImageRow, ...] = ()
    of_correct: tuple[EditedImageRow, ...] = ()
