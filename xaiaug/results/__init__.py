"""A run, finished or not, read lazily."""

from .result import Result, open_run

__all__ = ["Result", "open_run"]
