"""What is wrong with this installation."""

from .examination import Finding, examine, installed_extras

__all__ = ["Finding", "examine", "installed_extras"]
