"""What is wrong with this installation."""

from .examination import examine
from .finding import Finding
from .packages import installed_extras

__all__ = ["Finding", "examine", "installed_extras"]
