"""One row an arm: means over seeds, and differences to `continued`."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .schema import Report
from .schema_arms import ArmResult, Scores

REFERENCE = "continued"
HEADLINE = "generated+training"


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation over seeds, of values in 0 to 1 or of their differences.

    Attributes:
        mean: None when there is no value yet.
        sd: None for fewer than two values.
    """

    mean: float | None = None
    sd: float | None = None

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """The spread of the values; empty when there are none."""
        found = list(values)
        if not found:
            return cls()
        return cls(statistics.fmean(found), statistics.stdev(found) if len(found) > 1 else None)


@dataclass(frozen=True)
class ArmRow:
    """What a table says of one arm.

    Attributes:
        seeds: trainings with scores; 0 for an arm that is not finished.
        synthetic: new images it trains on.
        real: real images it trains on.
        difference: accuracy minus that of `continued`, seed by seed where both have the seed.
    """

    name: str
    seeds: int
    synthetic: int
    real: int
    accuracy: Spread
    balanced_accuracy: Spread
    macro_f1: Spread
    difference: Spread


def arm_rows(report: Report) -> tuple[ArmRow, ...]:
    """One row an arm, in the order of the report."""
    reference = {arm.name: arm for arm in report.arms}.get(REFERENCE)
    return tuple(_row(arm, reference) for arm in report.arms)


def scores_by_seed(arm: ArmResult) -> dict[int, Scores]:
    """The scores of the finished trainings of an arm, by seed."""
    return {seed.seed: seed.metrics for seed in arm.seeds if seed.metrics is not None}


def _row(arm: ArmResult, reference: ArmResult | None) -> ArmRow:
    scores = scores_by_seed(arm)
    against = scores_by_seed(reference) if reference is not None and reference.name != arm.name else {}
    return ArmRow(
        name=arm.name,
        seeds=len(scores),
        synthetic=sum(arm.synthetic.values()),
        real=arm.real,
        accuracy=Spread.of(score.accuracy for score in scores.values()),
        balanced_accuracy=Spread.of(score.balanced_accuracy for score in scores.values()),
        macro_f1=Spread.of(score.f1 for score in scores.values()),
        difference=_difference(arm, scores, against),
    )


def _difference(arm: ArmResult, scores: Mapping[int, Scores], against: Mapping[int, Scores]) -> Spread:
    if not arm.trained and scores and against:
        # The untouched start is one classifier, whatever seeds the others were trained with.
        start = statistics.fmean(score.accuracy for score in scores.values())
        return Spread.of(start - score.accuracy for score in against.values())
    return Spread.of(scores[seed].accuracy - against[seed].accuracy for seed in scores if seed in against)
