"""How certain a difference is: intervals over seeds and test images, Holm's correction, and outcomes."""

from ..metrics.scores import METRICS, Scorer
from .best_arm import AllPairs, compare_all
from .compare import Comparison, Condition, compare, compare_predictions
from .fisher import fisher_test
from .holm import AdjustedContrast, holm_adjust
from .interval import DifferenceEstimate, Spread, UncertainDifference
from .kappa import Kappa, fleiss_kappa
from .mcnemar import Flips, count_flips
from .outcome import OUTCOMES, Outcome, judge_outcome
from .sign_flip import least_p, mean_interval, sign_flip_test
from .worst_group import WorstGroup, WorstGroupEstimate, estimate_worst_group, find_worst_group

__all__ = [
    "METRICS",
    "OUTCOMES",
    "AdjustedContrast",
    "AllPairs",
    "Comparison",
    "Condition",
    "DifferenceEstimate",
    "Flips",
    "Kappa",
    "Outcome",
    "Scorer",
    "Spread",
    "UncertainDifference",
    "WorstGroup",
    "WorstGroupEstimate",
    "compare",
    "compare_all",
    "compare_predictions",
    "count_flips",
    "estimate_worst_group",
    "find_worst_group",
    "fisher_test",
    "fleiss_kappa",
    "holm_adjust",
    "judge_outcome",
    "least_p",
    "mean_interval",
    "sign_flip_test",
]
