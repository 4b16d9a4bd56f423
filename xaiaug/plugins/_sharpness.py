"""How sharp an image is."""

from __future__ import annotations

import numpy as np
from PIL import Image

ROUNDING = 0.1  # variance that rounding to whole grey levels puts into an image
SIDE = 192  # the longer side above which an image is shrunk: grain finer than this is of no interest


def sharpness(image: Image.Image) -> float:
    """Sharpness, 0 (blurred) to 1: the share of fine detail among fine and middling detail.

    Fine detail is what a blur of a 200th of the longer side, at least 0.7 pixels, takes away; middling detail what
    one four times as wide takes away. Light and contrast hardly change it. 0 for an image of one colour.
    """
    from scipy.ndimage import gaussian_filter

    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    values = np.asarray(small, np.float32)
    radius = max(0.7, max(small.size) / 200)
    fine, middling = (
        float((values - gaussian_filter(values, (width, width, 0))).var()) - ROUNDING for width in (radius, 4 * radius)
    )
    return float(np.sqrt(max(fine, 0) / middling)) if middling > ROUNDING else 0.0
