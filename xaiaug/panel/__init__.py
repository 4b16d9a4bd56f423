"""The panel of a critic: image, heatmap and class names in one picture; sheets of slices; overlays of the report."""

from .colormap import Scale, format_scale, shared_scale
from .compose import LAYOUTS, draw
from .overlays import draw_heat_layer, overlay_heatmap
from .sheet import draw_sheet

__all__ = [
    "LAYOUTS",
    "Scale",
    "draw",
    "draw_heat_layer",
    "draw_sheet",
    "format_scale",
    "overlay_heatmap",
    "shared_scale",
]
