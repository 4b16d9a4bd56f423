"""The default augmentation, random resized crop and flip, and the names of those that may be added to it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

POLICIES = ("trivialaugment", "randaugment")  # change each view (arXiv 2103.10158, 1909.13719)
MIXES = ("cutmix",)  # mix the views of a batch (arXiv 1905.04899)
AUGMENTATIONS = ("default", *POLICIES, *MIXES)

_SCALE = (0.5, 1.0)  # share of the image's area
_RATIO = (3 / 4, 4 / 3)  # width over height


def augment(image: Image.Image, size: tuple[int, int], generator: np.random.Generator) -> NDArray[np.uint8]:
    """One view of an image: a random part of it, resized, and mirrored half of the time.

    Args:
        image: h w c, RGB.
        size: height and width of the view.
        generator: decides the part and the mirroring.

    Returns:
        h w c, uint8.
    """
    box = _random_box(image.width, image.height, generator)
    view = np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=box))
    return view[:, ::-1] if generator.random() < 0.5 else view


def _random_box(width: int, height: int, generator: np.random.Generator) -> tuple[float, float, float, float]:
    area = width * height * generator.uniform(*_SCALE)
    ratio = math.exp(generator.uniform(math.log(_RATIO[0]), math.log(_RATIO[1])))
    across, down = min(width, math.sqrt(area * ratio)), min(height, math.sqrt(area / ratio))
    left, top = generator.uniform(0, width - across), generator.uniform(0, height - down)
    return left, top, min(width, left + across), min(height, top + down)
