"""Marks: whether a critic named the planted cause and its place, and whether that depends on the map it was shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..causes import find_place, parse_cause
from ..imaging.image_stats import css_to_lab
from ..metrics import wilson_interval
from ..records import Cause, Critique
from ..records.cause import Box
from ..statistics import mean_interval, sign_flip_test

MAPS = ("true", "shuffled", "none")
NEAR_COLOUR = 40.0  # CIELAB distance within which a stated colour is the planted one: everyday names are coarse
LEVEL = 0.05


@dataclass(frozen=True)
class Mark:
    """What one critique got right.

    Attributes:
        cause: whether it names the planted cause: its kind, whether it is present or missing, and no wrong colour.
        place: whether it says where that is; None where the cause has no place.
    """

    cause: bool
    place: bool | None = None

    @property
    def right(self) -> bool:
        """Whether cause and place, if any, are right."""
        return self.cause and self.place is not False


@dataclass(frozen=True)
class Share:
    """A share of cases with its 95 % Wilson interval."""

    hits: int
    of: int
    low: float
    high: float

    @classmethod
    def count(cls, hits: Sequence[bool]) -> Share:
        """The share of hits."""
        return cls(sum(hits), len(hits), *wilson_interval(sum(hits), len(hits)))


@dataclass(frozen=True)
class ExamMarks:
    """The marks of a critic.

    Attributes:
        causes, places, right: shares by condition of `MAPS`: cause named, place named of those that have one, both.
        answered: critiques of so many cases, by condition; a case without one is wrong.
        by_planted: shares that are right with the true map, by name of the planted cause.
        map_effect: mean difference of `right` with the true map and with another image's, by case.
        map_low, map_high: its 95 % interval.
        map_p: of the sign-flip test that the difference is not above 0.
    """

    causes: Mapping[str, Share]
    places: Mapping[str, Share]
    right: Mapping[str, Share]
    answered: Mapping[str, int]
    by_planted: Mapping[str, Share]
    map_effect: float
    map_low: float
    map_high: float
    map_p: float

    @property
    def sentence(self) -> str:
        """What the marks say, in words."""
        best = self.right["true"]
        reads = (
            "it reads the map"
            if self.map_p < LEVEL
            else "nothing shows that it reads the map"
            if self.map_low <= 0 <= self.map_high
            else "the map misleads it"
        )
        return (
            f"Names cause and place of {best.hits} of {best.of} mistakes ({100 * best.low:.0f} to {100 * best.high:.0f}"
            f" %) with the true map; {100 * self.map_effect:+.0f} points over another image's map "
            f"({100 * self.map_low:+.0f} to {100 * self.map_high:+.0f}): {reads}."
        ).replace("-", "−")


def mark_critique(critique: Critique | None, truth: Cause) -> Mark:
    """The mark of one critique; all wrong where there is none."""
    has_place = truth.box is not None
    if critique is None:
        return Mark(False, False if has_place else None)
    stated = parse_cause(critique)
    named = stated is not None and stated.mechanism == truth.mechanism and _is_colour_right(stated, truth)
    return Mark(named, _is_place_right(critique, stated, truth.box) if truth.box is not None else None)


def _is_colour_right(stated: Cause, truth: Cause) -> bool:
    if stated.colour is None or truth.colour is None:
        return True
    return float(np.linalg.norm(css_to_lab(stated.colour) - css_to_lab(truth.colour))) <= NEAR_COLOUR


def _is_place_right(critique: Critique, stated: Cause | None, box: Box) -> bool:
    told = stated.box if stated is not None and stated.box is not None else None
    told = told or find_place(critique.cause.casefold())
    if told is None:
        return False
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    # A place that is half of the image or more says nothing.
    small = (told[2] - told[0]) * (told[3] - told[1]) < 0.5
    return small and told[0] <= x <= told[2] and told[1] <= y <= told[3]


def mark_exam(marks: Mapping[str, Mapping[tuple[str, str], Mark]], answered: Mapping[str, int]) -> ExamMarks:
    """All marks together.

    Args:
        marks: by condition, then by planted cause and case.
        answered: critiques of each condition.
    """
    cases = sorted(marks["true"])
    difference = [float(marks["true"][one].right) - float(marks["shuffled"][one].right) for one in cases]
    low, high = mean_interval(difference)
    return ExamMarks(
        causes={name: Share.count([one.cause for one in of.values()]) for name, of in marks.items()},
        places={
            name: Share.count([one.place for one in of.values() if one.place is not None]) for name, of in marks.items()
        },
        right={name: Share.count([one.right for one in of.values()]) for name, of in marks.items()},
        answered=dict(answered),
        by_planted={
            planted: Share.count([one.right for (name, _), one in marks["true"].items() if name == planted])
            for planted in dict.fromkeys(planted for planted, _ in cases)
        },
        map_effect=float(np.mean(difference)),
        map_low=low,
        map_high=high,
        map_p=sign_flip_test(difference),
    )
