"""The review page: a person decides on new images, in a browser on this machine."""

from .server import ReviewServer

__all__ = ["ReviewServer"]
