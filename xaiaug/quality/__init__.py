"""How good a heatmap is: what the map alone shows, and whether it is faithful to the classifier."""

from .faithful import ImageScores, Scored, faithfulness, predictions, score
from .figures import MapFigures, figures
from .summary import MEASURES, Faithfulness, Measure, summarize

__all__ = [
    "MEASURES",
    "Faithfulness",
    "ImageScores",
    "MapFigures",
    "Measure",
    "Scored",
    "faithfulness",
    "figures",
    "predictions",
    "score",
    "summarize",
]
