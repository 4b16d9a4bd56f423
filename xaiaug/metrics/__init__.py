"""How good predictions are: all metrics of one set of predictions, and the scores that arms are compared by."""

from .evaluate import ClassScores, GroupScores, Metrics, evaluate, wilson_interval
from .groups import Grouping, form_groups
from .scores import METRICS, Scorer

__all__ = [
    "METRICS",
    "ClassScores",
    "GroupScores",
    "Grouping",
    "Metrics",
    "Scorer",
    "evaluate",
    "form_groups",
    "wilson_interval",
]
