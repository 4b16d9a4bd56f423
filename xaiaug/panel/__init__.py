"""The panel: image, heatmap and class names in one picture, for a critic; and the overlay that the report shows."""

from .colormap import Scale, format_scale, shared_scale
from .compose import LAYOUTS, draw
from .overlays import overlay_heatmap

__all__ = ["LAYOUTS", "Scale", "draw", "format_scale", "overlay_heatmap", "shared_scale"]
