"""Which synthetic images are kept."""

from .checks import CHECKS, ImageDescription, Rejection
from .filter import DEFAULT, VERSION, ImageFilter, Verdict
from .label_judge import ADMISSION_THRESHOLD, Judge, near_duplicate_threshold

__all__ = [
    "ADMISSION_THRESHOLD",
    "CHECKS",
    "DEFAULT",
    "VERSION",
    "ImageDescription",
    "ImageFilter",
    "Judge",
    "Rejection",
    "Verdict",
    "near_duplicate_threshold",
]
