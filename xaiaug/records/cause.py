"""A cause of mistakes as a record that can be tested by experiment, and what the test came to."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import RecordError
from .rendering import to_html

Box = tuple[float, float, float, float]

CAUSE_KINDS = ("region", "colour", "backdrop", "tint", "light", "sharpness", "size", "place")
CAUSE_OUTCOMES = ("confirmed", "refuted", "suggestive", "untestable")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_COLOURED = ("region", "colour", "backdrop", "tint")
_NUMBERS = ("region", "light", "sharpness", "size")


@dataclass(frozen=True)
class Cause:
    """What an image has, or lacks, that makes a classifier fail on it.

    Attributes:
        kind: what it is a property of: "region" (a spot off the subject, such as a tag), "colour" (of the subject),
            "backdrop", "tint" (of the whole image), "light", "sharpness", "size" or "place" (of the subject).
        present: whether the failed image has it; False: it lacks what correct images of its class have.
        colour: "#rrggbb", of a region, colour, backdrop or tint; None: that of the image itself.
        value: mean lightness ("light", 0 to 1), sharpness (0 blurred to 1 sharp), the subject's share of the image
            ("size", 0 to 1) or that of a region; None: that of the image itself.
        box: of a region: left, top, right, bottom, 0 to 1 of width and height; None: it is found by its colour.

    Raises:
        RecordError: an unknown kind, a value out of its range, or one that the kind does not have.
    """

    kind: str
    present: bool = True
    colour: str | None = None
    value: float | None = None
    box: Box | None = None

    def __post_init__(self) -> None:
        if self.kind not in CAUSE_KINDS:
            raise RecordError(f"Cause: kind must be one of {', '.join(CAUSE_KINDS)}, got {self.kind!r}")
        if self.colour is not None and (self.kind not in _COLOURED or not _COLOUR.fullmatch(str(self.colour))):
            raise RecordError(
                f"Cause: colour must be #rrggbb, for {', '.join(_COLOURED)}; got {self.colour!r} for {self.kind!r}"
            )
        if self.value is not None and (self.kind not in _NUMBERS or not 0 <= self.value <= 1):
            raise RecordError(
                f"Cause: value must lie in 0..1, for {', '.join(_NUMBERS)}; got {self.value!r} for {self.kind!r}"
            )
        self._check_box()

    def _check_box(self) -> None:
        if self.kind != "region":
            if self.box is not None:
                raise RecordError(f"Cause: only a region has a box, got one for {self.kind!r}")
            return
        if self.box is None and self.colour is None:
            raise RecordError("Cause: a region needs a box, or a colour that it is found by")
        if self.box is not None:
            object.__setattr__(self, "box", tuple(float(edge) for edge in self.box))
            left, top, right, bottom = self.box
            if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
                raise RecordError(f"Cause: box must be left < right and top < bottom, in 0..1, got {self.box}")

    @property
    def mechanism(self) -> tuple[str, bool]:
        """Kind and presence. Cases of a slice with equal mechanisms are tested together, each with its own values."""
        return self.kind, self.present


@dataclass(frozen=True)
class CauseVerdict:
    """What the test of a cause came to, for one slice of mistakes.

    Attributes:
        cause: of the first of its cases; the others may differ in their values.
        label, predicted: names of the true and the predicted class of the slice.
        outcome: "confirmed", "refuted", "suggestive" (too few cases for a test, but the effect is there) or
            "untestable".
        sentence: the outcome in words, with counts.
        cases: ids of the mistakes with the cause.
        tested: mistakes that the outcome rests on; others of them chose the nuisance edit.
        fixed: how many of `tested` are classified correctly once the cause is taken away, or what was absent is put
            in.
        fixed_elsewhere: the same, after the same edit where it does not touch the cause.
        fixed_by_nuisance: the same, after the nuisance edit with the largest effect.
        nuisance: what that edit is.
        correct: correctly classified images of the class that the cause was put on, or taken from.
        broken, broken_elsewhere, broken_by_nuisance: how many of these are then misclassified, likewise.
        nuisance_of_correct: the nuisance edit with the largest effect on these.
        effect: mean rise of the true class's share of the probability of both classes, beyond that by the stronger of
            the two control edits; -1 to 1. Of fixing mistakes or of breaking correct images, whichever is less.
        low, high: its interval, widened by Holm's method over the slices.
        p: of the sign-flip tests, the largest of four, adjusted by Holm's method over the slices; 1 where untested.
    """

    cause: Cause
    label: str
    predicted: str
    outcome: str
    sentence: str
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
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    p: float = 1.0

    def __post_init__(self) -> None:
        if self.outcome not in CAUSE_OUTCOMES:
            raise RecordError(f"CauseVerdict: outcome must be one of {', '.join(CAUSE_OUTCOMES)}, got {self.outcome!r}")

    def _repr_html_(self) -> str:
        return to_html(self)
