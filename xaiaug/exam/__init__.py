"""An exam for critics: mistakes whose causes are planted and known, and marks for what a critic says of them."""

from .marking import MAPS, ExamMarks, Mark, mark_critique, mark_exam
from .planted_maps import PlantedMaps, choose_maps
from .planted_sets import PLANTED, PlantedSet, Rule, create_planted_set

__all__ = [
    "MAPS",
    "PLANTED",
    "ExamMarks",
    "Mark",
    "PlantedMaps",
    "PlantedSet",
    "Rule",
    "choose_maps",
    "create_planted_set",
    "mark_critique",
    "mark_exam",
]
