"""What travels between rooms: frozen dataclasses, and the keys and words made from them."""

from .calls import PICO, UNKNOWN_USAGE, BatchClient, BatchedCall, ModelSpending, OpenBatch, OpenCall, RawReply, Spending
from .case import Case, Critique, LazyPanel, Sheet
from .cause import Cause, CauseVerdict
from .estimate import Estimate
from .experiment import Arm, ImageSource
from .explanation import Explanation
from .failure import CALL_FAILED, INTERRUPTED, NOT_ASKED, PASSING, Failure
from .image_check import ImageCheck, ImageToCheck
from .json_type import JSON
from .keys import derive_seed, digest
from .mistake_slice import MistakeSlice, Slices
from .progress import Progress
from .recipe import History, Recipe
from .sample import Sample, label_to_words
from .synthesis import SynthesisRequest, SyntheticImage
from .training_method import METHODS, TrainingMethod

__all__ = [
    "CALL_FAILED",
    "INTERRUPTED",
    "JSON",
    "METHODS",
    "NOT_ASKED",
    "PASSING",
    "PICO",
    "UNKNOWN_USAGE",
    "Arm",
    "BatchClient",
    "BatchedCall",
    "Case",
    "Cause",
    "CauseVerdict",
    "Critique",
    "Estimate",
    "Explanation",
    "Failure",
    "History",
    "ImageCheck",
    "ImageSource",
    "ImageToCheck",
    "LazyPanel",
    "MistakeSlice",
    "ModelSpending",
    "OpenBatch",
    "OpenCall",
    "Progress",
    "RawReply",
    "Recipe",
    "Sample",
    "Sheet",
    "Slices",
    "Spending",
    "SynthesisRequest",
    "SyntheticImage",
    "TrainingMethod",
    "derive_seed",
    "digest",
    "label_to_words",
]
