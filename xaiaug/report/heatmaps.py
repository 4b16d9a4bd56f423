"""A heatmap laid over its image."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

OPACITY = 0.6


def overlay(image: Image.Image, heatmap: bytes) -> Image.Image:
    """The image under its heatmap: bright where the decision rests, grey where the model saw nothing.

    Args:
        image: h w c, RGB.
        heatmap: h w in numpy's file format, raw values, NaN outside what the model saw; or a picture, returned as is.

    Raises:
        ValueError: the values are not a map.
    """
    if not heatmap.startswith(b"\x93NUMPY"):
        with Image.open(io.BytesIO(heatmap)) as picture:
            return picture.convert("RGB")
    values = np.load(io.BytesIO(heatmap), allow_pickle=False)
    if values.ndim != 2 or not values.size:
        raise ValueError(f"a heatmap must be h w, got shape {values.shape}")
    colours = Image.fromarray(_coloured(values)).resize(image.size, Image.Resampling.BILINEAR)
    return Image.blend(image.convert("L").convert("RGB"), colours, OPACITY)


def _coloured(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    from matplotlib import colormaps

    finite = np.isfinite(values)
    seen = values[finite].astype(np.float64)
    # The top of one percent is clipped for display: a single outlier token would leave the rest black.
    low, high = np.percentile(seen, (1, 99)) if seen.size else (0.0, 0.0)
    # In a map of both signs the heat is what speaks for the class.
    low = 0.0 if low < 0 < high else low
    share = np.zeros(values.shape)
    share[finite] = np.clip((seen - low) / max(high - low, 1e-12), 0, 1)
    coloured: NDArray[np.uint8] = colormaps["inferno"](share, bytes=True)[..., :3]
    coloured[~finite] = 128
    return coloured
