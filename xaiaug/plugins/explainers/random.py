"""The control that knows nothing: a random map."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import ConfigError
from ._base import ControlExplainer


class RandomMap(ControlExplainer):
    """Noise between 0 and 1, as coarse as the maps of other methods: the control that any explanation has to beat.

    It depends on the seed and on the image's pixels alone: not on the class, not on the classifier. It is defined for
    every classifier; where that shows what it sees of an image, the heatmap is NaN elsewhere.

    Args:
        seed: another seed gives other maps.
        cells: rows and columns of the noise, 1 or more; 14 are those of a ViT with patches of 16 at 224 pixels.
    """

    method = "random"

    def __init__(self, seed: int = 0, cells: int = 14) -> None:
        if cells < 1:
            raise ConfigError(f"{self.method}: cells must be 1 or more, got {cells}")
        self.seed = seed
        self.cells = cells

    def _make_grid(self, image: Image.Image) -> NDArray[np.float32]:
        content = f"{self.seed} {image.size}".encode() + image.convert("RGB").tobytes()
        digest = int.from_bytes(hashlib.blake2b(content, digest_size=16).digest())
        return np.random.default_rng(digest).random((self.cells, self.cells), dtype=np.float32)
