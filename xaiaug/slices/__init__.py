"""Slices: images on which a classifier fails more often, found on one half of the guide and scored on the other."""

from .search import EXAMPLES, FEWEST_MISTAKES, find_obstacle, is_for_finding, search_slices
from .traits import Segment, Traits, measure_in_threads, measure_traits
from .views import GuideImage

__all__ = [
    "EXAMPLES",
    "FEWEST_MISTAKES",
    "GuideImage",
    "Segment",
    "Traits",
    "find_obstacle",
    "is_for_finding",
    "measure_in_threads",
    "measure_traits",
    "search_slices",
]
