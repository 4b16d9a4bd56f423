"""How far the probabilities of each arm can be trusted: calibration before and after temperature scaling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .arm_table import Spread, scores_by_seed
from .schema_arms import ArmResult, Scores
from .schema_report import Report


@dataclass(frozen=True)
class Calibration:
    """One arm, means over its seeds; values in 0 to 1, the log loss in nats.

    Attributes:
        error: expected calibration error.
        scaled_error: after temperature scaling, cross-fitted.
        widths: both errors as shares of the largest of all arms, for bars.
    """

    arm: str
    error: Spread
    scaled_error: Spread
    log_loss: float | None
    widths: tuple[float, float]


def list_calibrations(report: Report) -> tuple[Calibration, ...]:
    """One for each arm whose calibration was measured, in the order of the report."""
    measured = [(arm, _mean(arm, "calibration_error"), _mean(arm, "scaled_calibration_error")) for arm in report.arms]
    known = [(arm, error, scaled) for arm, error, scaled in measured if error.mean is not None]
    largest = max((spread.mean or 0.0 for _, *both in known for spread in both), default=0.0) or 1.0
    return tuple(
        Calibration(
            arm.name,
            error,
            scaled,
            _mean(arm, "log_loss").mean,
            ((error.mean or 0.0) / largest, (scaled.mean or 0.0) / largest),
        )
        for arm, error, scaled in known
    )


def _mean(arm: ArmResult, name: str) -> Spread:
    return Spread.of(_list_known(list(scores_by_seed(arm).values()), name))


def _list_known(scores: Sequence[Scores], name: str) -> list[float]:
    return [value for score in scores if (value := getattr(score, name)) is not None]
