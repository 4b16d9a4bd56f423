"""The page on which a person looks at new images, served on this machine alone."""

from .server import ReviewServer

__all__ = ["ReviewServer"]
