"""One stage: ask the store what is missing, have it done, commit."""

from .critique import critique
from .desk import Desk, Fitted
from .explain import explain
from .images import Image, ImagePlan, make_images
from .mistakes import Mistake, choose
from .predict import Predictions, predict
from .train import fit

__all__ = [
    "Desk",
    "Fitted",
    "Image",
    "ImagePlan",
    "Mistake",
    "Predictions",
    "choose",
    "critique",
    "explain",
    "fit",
    "make_images",
    "predict",
]
