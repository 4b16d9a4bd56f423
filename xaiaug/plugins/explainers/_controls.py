"""Maps that are made without asking the network, on the part of each image that it sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...interfaces import Classifier, TorchModel
from ...records import Explanation, Failure
from ._place import place


def controlled(
    method: str,
    grid: Callable[[Image.Image], NDArray[np.float32]],
    classifier: Classifier,
    images: Sequence[Image.Image],
    targets: Sequence[int],
) -> list[Explanation | Failure]:
    """One explanation an image, in order, with the grid that is made for it.

    Raises:
        DataError: there are no images, their number is not that of the targets, or a target is no index of a label.
    """
    from ._requests import check_images

    check_images(method, classifier, images, targets)
    found: list[Explanation | Failure] = []
    for image, target in zip(images, targets, strict=True):
        made = grid(image)
        heatmap = place(made, _seen(classifier, image), image.size)
        found.append(Explanation(heatmap, method, int(target), class_specific=False, grid=made))
    return found


def _seen(classifier: Classifier, image: Image.Image) -> Sequence[float]:
    """x0 y0 x1 y1 of what the classifier sees, in pixels of the image; all of it where it does not tell."""
    if not isinstance(classifier, TorchModel):
        return 0, 0, image.width, image.height
    box: list[float] = classifier.preprocess([image]).boxes[0].tolist()
    return box
