"""How good a heatmap is: what the map alone shows, and whether it is faithful to the classifier."""

from .map_faithfulness import ImageScores, Scored, faithfulness, predictions, score_map
from .map_statistics import MapFigures, summarize_map
from .summary import MEASURES, Faithfulness, Measure, summarize

__all__ = [
    "MEASURES",
    "Faithfulness",
    "ImageScores",
    "MapFigures",
    "Measure",
    "Scored",
    "faithfulness",
    "predictions",
    "score_map",
    "summarize",
    "summarize_map",
]
