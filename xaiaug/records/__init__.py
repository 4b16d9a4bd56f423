"""What travels between rooms: frozen dataclasses."""

from .case import Case, Critique
from .experiment import Arm, ImageSource
from .explanation import Explanation
from .failure import Failure
from .json import JSON
from .progress import Progress
from .sample import Sample
from .synthesis import SynthesisRequest, SyntheticImage
from .training import History, Recipe

__all__ = [
    "JSON",
    "Arm",
    "Case",
    "Critique",
    "Explanation",
    "Failure",
    "History",
    "ImageSource",
    "Progress",
    "Recipe",
    "Sample",
    "SynthesisRequest",
    "SyntheticImage",
]
