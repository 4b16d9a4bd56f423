"""One stage: ask the store what is missing, have it done, commit."""

from .causes import choose_correct_pool
from .diagnosis import Diagnosis
from .disagreement import choose_disagreements
from .export import ExportedImages, export
from .faithfulness import measure_maps
from .generation import equally_many, make_images
from .image_requests import GeneratedImage, ImagePlan
from .judge import JudgeExam, examine_judge
from .lazy import Lazy
from .mistakes import (
    Mistake,
    choose,
    choose_compared,
    choose_correct,
    choose_donors,
    count_by_pair,
    list_cases,
)
from .plugin_guard import TimeLimits
from .predict import Predictions, predict
from .retrieval import embed_images, order_by_nearness
from .review import Review
from .runtime import Fitted, StageRuntime
from .slices import SliceSegmenter, find_run_slices
from .suspect_labels import hold_out_suspects, list_suspects
from .train import Training, WhatToKeep, early_weights, fit, fit_all, snapshots
from .unanswered import count_unanswered
from .votes import list_voters

__all__ = [
    "Diagnosis",
    "ExportedImages",
    "Fitted",
    "GeneratedImage",
    "ImagePlan",
    "JudgeExam",
    "Lazy",
    "Mistake",
    "Predictions",
    "Review",
    "SliceSegmenter",
    "StageRuntime",
    "TimeLimits",
    "Training",
    "WhatToKeep",
    "choose",
    "choose_compared",
    "choose_correct",
    "choose_correct_pool",
    "choose_disagreements",
    "choose_donors",
    "count_by_pair",
    "count_unanswered",
    "early_weights",
    "embed_images",
    "equally_many",
    "examine_judge",
    "export",
    "find_run_slices",
    "fit",
    "fit_all",
    "hold_out_suspects",
    "list_cases",
    "list_suspects",
    "list_voters",
    "make_images",
    "measure_maps",
    "order_by_nearness",
    "predict",
    "snapshots",
]
