"""One stage: ask the store what is missing, have it done, commit."""

from .desk import Desk, Fitted
from .export import Pool, export
from .images import Image, ImagePlan, equally_many, make_images
from .judge import Examined, examine
from .lazy import Lazy
from .mistakes import Mistake, by_pair, choose, choose_correct, list_cases
from .predict import Predictions, predict
from .review import Review
from .sources import Ground, asks
from .suspects import hold
from .train import Training, fit

__all__ = [
    "Desk",
    "Examined",
    "Fitted",
    "Ground",
    "Image",
    "ImagePlan",
    "Lazy",
    "Mistake",
    "Pool",
    "Predictions",
    "Review",
    "Training",
    "asks",
    "by_pair",
    "choose",
    "choose_correct",
    "equally_many",
    "examine",
    "export",
    "fit",
    "hold",
    "list_cases",
    "make_images",
    "predict",
]
