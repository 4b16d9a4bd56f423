"""One stage: ask the store what is missing, have it done, commit."""

from .critique import critique
from .desk import Desk, Fitted
from .explain import explain
from .export import export
from .images import Image, ImagePlan, equally_many, make_images
from .mistakes import Mistake, choose
from .predict import Predictions, predict
from .train import Training, fit

__all__ = [
    "Desk",
    "Fitted",
    "Image",
    "ImagePlan",
    "Mistake",
    "Predictions",
    "Training",
    "choose",
    "critique",
    "equally_many",
    "explain",
    "export",
    "fit",
    "make_images",
    "predict",
]
