"""The control that says nothing: the same value everywhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...interfaces import Classifier, Explainer
from ...records import Explanation, Failure
from ._heatmap import controlled

METHOD = "uniform"


class UniformMap(Explainer):
    """The value 1 everywhere: a map without information, which `Explanation.degenerate` says.

    It depends on nothing: not on the class, not on the classifier. It is defined for every classifier; where that tells
    what it sees of an image, the rest is unknown.
    """

    def explain(
        self, classifier: Classifier, images: Sequence[Image.Image], targets: Sequence[int]
    ) -> list[Explanation | Failure]:
        """One explanation an image, in order: 1 everywhere.

        Raises:
            DataError: there are no images, their number is not that of the targets, or a target is no index of a
                label.
        """
        return controlled(METHOD, _ones, classifier, images, targets)


def _ones(_: Image.Image) -> NDArray[np.float32]:
    return np.ones((1, 1), np.float32)
