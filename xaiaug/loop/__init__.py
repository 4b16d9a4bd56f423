"""The conductor: a classifier's mistakes become images, and the images a verdict."""

from .feedback import FeedbackLoop

__all__ = ["FeedbackLoop"]
