"""How sharp an image is."""

from __future__ import annotations

import numpy as np
from PIL import Image

SIDE = 256  # the longer side above which an image is shrunk: grain finer than this is of no interest


def sharpness(image: Image.Image) -> float:
    """Sharpness, 0 (blurred) to 1: the share of fine detail among fine and middling detail.

    Fine detail is what a blur of a 200th of the longer side, at least 0.7 pixels, takes away; middling detail what
    a blur three times as wide takes away. Light and contrast leave it as it is. 0 for an image of one colour.
    """
    from scipy.ndimage import gaussian_filter

    grey = image.convert("L")
    grey.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    values = np.asarray(grey, np.float32)
    radius = max(0.7, max(values.shape) / 200)
    fine = values - gaussian_filter(values, radius)
    middling = values - gaussian_filter(values, 3 * radius)
    return float(fine.std() / middling.std()) if middling.std() > 0.5 else 0.0
