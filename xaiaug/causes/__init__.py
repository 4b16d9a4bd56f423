"""Tests stated causes of mistakes by experiment: the classifier is asked again after an intervention on the image."""

from .judgement import ALPHA, FEWEST, JudgedCause, judge_trials
from .photo import Photo, Segmenter
from .trial import EditedImage, Slice, StatedCause, Trial, run_trial
from .wording import describe_cause, describe_edit

__all__ = [
    "ALPHA",
    "FEWEST",
    "EditedImage",
    "JudgedCause",
    "Photo",
    "Segmenter",
    "Slice",
    "StatedCause",
    "Trial",
    "describe_cause",
    "describe_edit",
    "judge_trials",
    "run_trial",
]
