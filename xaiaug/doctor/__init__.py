"""Checks this installation for problems."""

from .examination import Finding, examine, find_installed_extras

__all__ = ["Finding", "examine", "find_installed_extras"]
