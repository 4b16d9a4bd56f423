"""Tests stated causes of mistakes by experiment: the classifier is asked again after an intervention on the image."""

from .cause_parser import NOTHING, find_place, name_stated_cause, parse_cause
from .grouping import MOST_POOL, CauseOfMistake, group_causes
from .judgement import ALPHA, FEWEST, JudgedCause, judge_trials
from .photo import Photo, Segment
from .trial import MOST_CORRECT, PREDICTIONS, EditedImage, Slice, StatedCause, Trial, create_ask, run_trial
from .wording import describe_cause, describe_edit

__all__ = [
    "ALPHA",
    "FEWEST",
    "MOST_CORRECT",
    "MOST_POOL",
    "NOTHING",
    "PREDICTIONS",
    "CauseOfMistake",
    "EditedImage",
    "JudgedCause",
    "Photo",
    "Segment",
    "Slice",
    "StatedCause",
    "Trial",
    "create_ask",
    "describe_cause",
    "describe_edit",
    "find_place",
    "group_causes",
    "judge_trials",
    "name_stated_cause",
    "parse_cause",
    "run_trial",
]
