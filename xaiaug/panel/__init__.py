"""Image, heatmap and labels become one picture, for a critic and for the report."""

from .colormap import Scale, shared_scale
from .compose import LAYOUTS, draw

__all__ = ["LAYOUTS", "Scale", "draw", "shared_scale"]
