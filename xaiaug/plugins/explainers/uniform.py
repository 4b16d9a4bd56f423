"""The control without information: the same value everywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ._base import ControlExplainer


class UniformMap(ControlExplainer):
    """The value 1 everywhere: a map without information, whose `Explanation.degenerate` is True.

    It depends on nothing: not on the class, not on the classifier. It is defined for every classifier; where that shows
    what it sees of an image, the heatmap is NaN elsewhere.
    """

    method = "uniform"

    def _make_grid(self, _: Image.Image) -> NDArray[np.float32]:
        return np.ones((1, 1), np.float32)
