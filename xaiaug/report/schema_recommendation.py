"""The recommendation in a report: which remedy to take, and how sure that is."""

from __future__ import annotations

from .schema_base import Number, Row, Text


class RemedyRow(Row):
    """One remedy; differences are of scores in 0 to 1, intervals simultaneous over all remedies at 95 %.

    Attributes:
        gain: over the baseline, mean over the seeds; None for the baseline.
        low, high: its interval.
        to_best: lower bound of its difference to the best of the others (Hsu's multiple comparisons with the best).
    """

    arm: Text
    gain: Number = None
    low: Number = None
    high: Number = None
    to_best: float


class Recommendation(Row):
    """The cheapest remedy whose `to_best` is above minus the margin.

    Attributes:
        arm: its name; None where that is inconclusive.
        sentence: what to do, with interval and price.
        metric: of the comparison.
        margin: the largest loss to the best that is accepted, 0 to 1.
        seeds: how many the remedies were compared over.
        seeds_needed: about how many would tell; None where none is needed or no number is enough.
        images_needed: likewise, of test images.
        remedies: cheapest first.
    """

    arm: Text | None = None
    sentence: Text
    metric: str = "accuracy"
    margin: float
    seeds: int
    seeds_needed: int | None = None
    images_needed: int | None = None
    remedies: tuple[RemedyRow, ...] = ()
