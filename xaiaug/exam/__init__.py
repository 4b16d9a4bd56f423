"""An exam for critics: mistakes whose causes are planted and known, and marks for what a critic says of them."""

from .marking import MAPS, ExamMarks, Mark, mark_critique, mark_exam
from .planted_maps import PlantedMaps, choose_maps
from .planted_photos import FindSubject, create_photo_set, list_photo_sets
from .planted_sets import PLANTED, PlantedSet, Rule, create_planted_set

__all__ = [
    "MAPS",
    "PLANTED",
    "ExamMarks",
    "FindSubject",
    "Mark",
    "PlantedMaps",
    "PlantedSet",
    "Rule",
    "choose_maps",
    "create_photo_set",
    "create_planted_set",
    "list_photo_sets",
    "mark_critique",
    "mark_exam",
]
