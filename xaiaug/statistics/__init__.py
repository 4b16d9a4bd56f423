"""How certain a difference is: intervals over seeds and test images, Holm's correction, and outcomes."""

from ..metrics.scores import METRICS, Scorer
from .compare import Comparison, compare, compare_predictions
from .fisher import fisher_test
from .holm import AdjustedContrast, holm_adjust
from .interval import DifferenceEstimate, Spread
from .mcnemar import Flips, count_flips
from .outcome import OUTCOMES, Outcome, judge_outcome
from .sign_flip import least_p, mean_interval, sign_flip_test

__all__ = [
    "METRICS",
    "OUTCOMES",
    "AdjustedContrast",
    "Comparison",
    "DifferenceEstimate",
    "Flips",
    "Outcome",
    "Scorer",
    "Spread",
    "compare",
    "compare_predictions",
    "count_flips",
    "fisher_test",
    "holm_adjust",
    "judge_outcome",
    "least_p",
    "mean_interval",
    "sign_flip_test",
]
