"""How sure one may be: intervals over seeds and test images, families of contrasts, and what they allow to be said."""

from .compare import Comparison, compare, compare_predictions
from .family import Family, family
from .flips import Flips, flips
from .interval import Estimate, Spread
from .scores import METRICS, Scores
from .words import OUTCOMES, Outcome, judge

__all__ = [
    "METRICS",
    "OUTCOMES",
    "Comparison",
    "Estimate",
    "Family",
    "Flips",
    "Outcome",
    "Scores",
    "Spread",
    "compare",
    "compare_predictions",
    "family",
    "flips",
    "judge",
]
