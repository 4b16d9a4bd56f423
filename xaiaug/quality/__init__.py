"""How good a heatmap is: statistics of the map alone, and whether it is faithful to the classifier."""

from .map_faithfulness import ImageScores, MapScores, count_predictions, faithfulness, score_map
from .map_statistics import MapStatistics, summarize_map
from .summary import MEASURES, Faithfulness, Measure, summarize

__all__ = [
    "MEASURES",
    "Faithfulness",
    "ImageScores",
    "MapScores",
    "MapStatistics",
    "Measure",
    "count_predictions",
    "faithfulness",
    "score_map",
    "summarize",
    "summarize_map",
]
