"""One stage: ask the store what is missing, have it done, commit."""

from .critique import critique
from .desk import Desk, Fitted
from .explain import explain
from .export import export
from .images import Image, ImagePlan, equally_many, make_images
from .lazy import Lazy
from .mistakes import Mistake, by_pair, choose, list_cases
from .predict import Predictions, predict
from .train import Training, fit

__all__ = [
    "Desk",
    "Fitted",
    "Image",
    "ImagePlan",
    "Lazy",
    "Mistake",
    "Predictions",
    "Training",
    "by_pair",
    "choose",
    "critique",
    "equally_many",
    "explain",
    "export",
    "fit",
    "list_cases",
    "make_images",
    "predict",
]
