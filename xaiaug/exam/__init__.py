"""An exam for critics: mistakes whose causes are planted and known, and marks for what a critic says of them."""

from .marking import MAPS, ExamMarks, Mark, mark_critique, mark_exam
from .papers import PLANTED, Paper, Rule, write_paper
from .planted_maps import PlantedMaps, choose_maps

__all__ = [
    "MAPS",
    "PLANTED",
    "ExamMarks",
    "Mark",
    "Paper",
    "PlantedMaps",
    "Rule",
    "choose_maps",
    "mark_critique",
    "mark_exam",
    "write_paper",
]
