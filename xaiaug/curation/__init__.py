"""Which synthetic images are kept."""

from .checks import CHECKS, Check, Finding
from .filter import DEFAULT, VERSION, ImageFilter, Verdict
from .label_judge import ADMITTED, Judge, near_duplicate_threshold

__all__ = [
    "ADMITTED",
    "CHECKS",
    "DEFAULT",
    "VERSION",
    "Check",
    "Finding",
    "ImageFilter",
    "Judge",
    "Verdict",
    "near_duplicate_threshold",
]
