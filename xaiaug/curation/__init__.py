"""Which synthetic images are kept."""

from .checks import CHECKS, Check, Finding
from .gate import Gate, Verdict

__all__ = ["CHECKS", "Check", "Finding", "Gate", "Verdict"]
