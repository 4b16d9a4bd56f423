"""One stage: ask the store what is missing, have it done, commit."""

from .diagnosis import Ground
from .export import Pool, export
from .faithfulness import measure_maps
from .generation import Image, ImagePlan, equally_many, make_images
from .judge import Examined, examine
from .lazy import Lazy
from .mistakes import Mistake, by_pair, choose, choose_correct, list_cases
from .plugin_guard import Patience
from .predict import Predictions, predict
from .review import Review
from .runtime import Desk, Fitted
from .suspect_labels import hold, list_suspects
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
