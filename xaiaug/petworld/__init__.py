"""The drawn world: cats and dogs whose coat and backdrop nearly give away the label (a planted shortcut)."""

from .drawing import draw
from .palette import BACKDROPS, COATS, LABELS
from .sampling import BIAS, UNBIASED, sample_scenes
from .scene import Scene
from .world import checkpoint, write_world

__all__ = [
    "BACKDROPS",
    "BIAS",
    "COATS",
    "LABELS",
    "UNBIASED",
    "Scene",
    "checkpoint",
    "draw",
    "sample_scenes",
    "write_world",
]
