"""Which synthetic images are kept."""

from .checks import CHECKS, Check, Finding
from .filter import DEFAULT, VERSION, Gate, Verdict
from .label_judge import ADMITTED, Judge, alike_from

__all__ = ["ADMITTED", "CHECKS", "DEFAULT", "VERSION", "Check", "Finding", "Gate", "Judge", "Verdict", "alike_from"]
