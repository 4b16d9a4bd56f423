"""What is wrong with this installation."""

from .examination import examine
from .finding import Finding

__all__ = ["Finding", "examine"]
