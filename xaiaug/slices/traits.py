"""What slices are found by: the measured attributes of an image, its windows, and its heatmap."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..imaging.image_stats import centroid, rgb_to_lab, sharpness, to_pixels, typical_colour
from ..records import Explanation
from .windows import Windows, cut_windows

Floats = NDArray[np.float32]
Segment = Callable[[Image.Image], Floats]

SIDE = 96  # longer side, in pixels, at which an image is measured
MOST_THREADS = 4  # much of the work holds Python's lock
SEGMENTED = 384  # at most, at which its subject is found: as tests of causes do, which then share the mask


@dataclass(frozen=True, eq=False)
class Traits:
    """The measurements of one image.

    Attributes:
        attributes: by name a vector: "subject colour" and "backdrop colour" (Lab), "tint" (mean a and b of Lab),
            "light" (mean lightness, 0 to 100), "sharpness" (its logarithm), "size" (square root of the subject's
            share), "place" (x y of its centroid, 0 to 1), and with a heatmap "heat": the share of it off the subject,
            and x y of the centroid of that part.
        windows: of the image.
    """

    attributes: dict[str, Floats]
    windows: Windows


def measure_traits(image: Image.Image, segment: Segment, explanation: Explanation | None = None) -> Traits:
    """Measures one image.

    Args:
        image: h w c, RGB.
        segment: finds the subject: RGB image to mask, h w, 0 to 1.
        explanation: the image's heatmap; a degenerate one counts as none.
    """
    image = image.convert("RGB")
    if max(image.size) > SEGMENTED:
        image.thumbnail((SEGMENTED, SEGMENTED), Image.Resampling.LANCZOS)
    small = image.copy()
    small.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    mask = _resize(np.asarray(segment(image), np.float32), small.size)
    lab = rgb_to_lab(to_pixels(small))
    attributes = {
        "subject colour": typical_colour(lab, mask),
        "backdrop colour": typical_colour(lab, 1 - mask),
        "tint": lab[..., 1:].mean(axis=(0, 1)),
        "light": lab[..., :1].mean(axis=(0, 1)),
        "sharpness": np.log([sharpness(image) + 0.01], dtype=np.float32),
        "size": np.sqrt([mask.mean()], dtype=np.float32),
        "place": centroid(mask),
    }
    windows = cut_windows(image, mask, explanation)
    if windows.heat is not None and explanation is not None:
        attributes["heat"] = _locate_heat(explanation, mask)
    return Traits(attributes, windows)


def measure_in_threads(
    images: Sequence[Image.Image], segment: Segment, explanations: Sequence[Explanation | None]
) -> list[Traits]:
    """The measurements of images, in order; `segment` is called by several threads at once."""
    with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
        return list(pool.map(measure_traits, images, [segment] * len(images), explanations))


def _resize(values: Floats, size: tuple[int, int]) -> Floats:
    return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BOX))


def _locate_heat(explanation: Explanation, mask: Floats) -> Floats:
    """The share of the heat off the subject, and x y of that part's centroid."""
    seen = np.isfinite(explanation.heatmap)
    heat = np.where(seen, np.maximum(explanation.heatmap - explanation.floor, 0), 0).astype(np.float32)
    small = _resize(heat, mask.shape[::-1])
    off = small * (1 - mask)
    share = float(off.sum()) / max(float(small.sum()), 1e-9)
    return np.array([share, *centroid(off)], np.float32)
