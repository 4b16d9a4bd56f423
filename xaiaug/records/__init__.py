"""What travels between rooms: frozen dataclasses."""

from .calls import PICO, BatchedCall, Courier, OpenBatch, OpenCall, RawReply, Spending
from .case import Case, Critique, LazyPanel
from .estimate import Estimate
from .experiment import Arm, ImageSource
from .explanation import Explanation
from .failure import Failure
from .json import JSON
from .progress import Progress
from .recipe import History, Recipe
from .sample import Sample
from .synthesis import SynthesisRequest, SyntheticImage

__all__ = [
    "JSON",
    "PICO",
    "Arm",
    "BatchedCall",
    "Case",
    "Courier",
    "Critique",
    "Estimate",
    "Explanation",
    "Failure",
    "History",
    "ImageSource",
    "LazyPanel",
    "OpenBatch",
    "OpenCall",
    "Progress",
    "RawReply",
    "Recipe",
    "Sample",
    "Spending",
    "SynthesisRequest",
    "SyntheticImage",
]
