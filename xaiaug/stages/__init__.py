"""One stage: ask the store what is missing, have it done, commit."""

from .desk import Desk, Fitted
from .export import export
from .images import Image, ImagePlan, equally_many, make_images
from .lazy import Lazy
from .mistakes import Mistake, by_pair, choose, choose_correct, list_cases
from .patience import Patience
from .predict import Predictions, predict
from .sources import Ground, asks
from .suspects import hold
from .train import Training, fit

__all__ = [
    "Desk",
    "Fitted",
    "Ground",
    "Image",
    "ImagePlan",
    "Lazy",
    "Mistake",
    "Patience",
    "Predictions",
    "Training",
    "asks",
    "by_pair",
    "choose",
    "choose_correct",
    "equally_many",
    "export",
    "fit",
    "hold",
    "list_cases",
    "make_images",
    "predict",
]
