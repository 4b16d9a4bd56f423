"""Which synthetic images are kept."""

from .checks import CHECKS, Check, Finding
from .gate import DEFAULT, VERSION, Gate, Verdict
from .opinion import ADMITTED, Judge, alike_from

__all__ = ["ADMITTED", "CHECKS", "DEFAULT", "VERSION", "Check", "Finding", "Gate", "Judge", "Verdict", "alike_from"]
