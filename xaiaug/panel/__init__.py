"""Image, heatmap and labels become one picture, for a critic and for the report."""

from .colormap import Scale, format_scale, shared_scale
from .compose import LAYOUTS, draw
from .overlays import overlay_heatmap

__all__ = ["LAYOUTS", "Scale", "draw", "format_scale", "overlay_heatmap", "shared_scale"]
