"""The control that knows nothing: a map of noise."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import ConfigError
from ...interfaces import Classifier, Explainer
from ...records import Explanation, Failure
from ._heatmap import controlled

METHOD = "random"


class RandomMap(Explainer):
    """A map of noise between 0 and 1, as coarse as those of other methods: what any explanation has to do better than.

    It depends on the seed and on the image's pixels alone: not on the class, not on the classifier. It is defined for
    every classifier; where that tells what it sees of an image, the rest is unknown.

    Args:
        seed: another seed gives other maps.
        cells: rows and columns of the noise, 1 or more; 14 are those of a ViT with patches of 16 at 224 pixels.
    """

    def __init__(self, seed: int = 0, cells: int = 14) -> None:
        if cells < 1:
            raise ConfigError(f"{METHOD}: cells must be 1 or more, got {cells}")
        self.seed = seed
        self.cells = cells

    def explain(
        self, classifier: Classifier, images: Sequence[Image.Image], targets: Sequence[int]
    ) -> list[Explanation | Failure]:
        """One explanation an image, in order: noise.

        Raises:
            DataError: there are no images, their number is not that of the targets, or a target is no index of a
                label.
        """
        return controlled(METHOD, self._grid, classifier, images, targets)

    def _grid(self, image: Image.Image) -> NDArray[np.float32]:
        content = f"{self.seed} {image.size}".encode() + image.convert("RGB").tobytes()
        digest = int.from_bytes(hashlib.blake2b(content, digest_size=16).digest())
        return np.random.default_rng(digest).random((self.cells, self.cells), dtype=np.float32)
