"""Image, heatmap and labels become one picture, for a critic and for the report."""

from .compose import LAYOUTS, draw
from .heat import Scale, shared_scale

__all__ = ["LAYOUTS", "Scale", "draw", "shared_scale"]
