"""One stage: ask the store what is missing, have it done, commit."""

from .desk import Desk, Fitted
from .export import Pool, export
from .images import Image, ImagePlan, equally_many, make_images
from .judge import Examined, examine
from .lazy import Lazy
from .mistakes import Mistake, by_pair, choose, choose_correct, list_cases
from .patience import Patience
from .predict import Predictions, predict
from .quality import measure_maps
from .review import Review
from .sources import Ground
from .suspects import hold, list_suspects
from .train import Keeping, Training, along, fit

__all__ = [
    "Desk",
    "Examined",
    "Fitted",
    "Ground",
    "Image",
    "ImagePlan",
    "Keeping",
    "Lazy",
    "Mistake",
    "Patience",
    "Pool",
    "Predictions",
    "Review",
    "Training",
    "along",
    "by_pair",
    "choose",
    "choose_correct",
    "equally_many",
    "examine",
    "export",
    "fit",
    "hold",
    "list_cases",
    "list_suspects",
    "make_images",
    "measure_maps",
    "predict",
]
