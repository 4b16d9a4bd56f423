"""How good predictions are: all metrics of one set of predictions, and the scores that arms are compared by."""

from .evaluate import ClassScores, GroupScores, Metrics, evaluate, wilson_interval
from .scores import METRICS, Scorer

__all__ = ["METRICS", "ClassScores", "GroupScores", "Metrics", "Scorer", "evaluate", "wilson_interval"]
