"""Which synthetic images are kept."""

from .checks import CHECKS, Check, Finding
from .gate import DEFAULT, Gate, Verdict
from .opinion import ADMITTED, Judge, alike_from

__all__ = ["ADMITTED", "CHECKS", "DEFAULT", "Check", "Finding", "Gate", "Judge", "Verdict", "alike_from"]
