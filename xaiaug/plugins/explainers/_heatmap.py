"""From a model's own grid to a heatmap on the original image."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...interfaces import Classifier, TorchModel
from ...records import Explanation, Failure


def place(grid: NDArray[np.float32], box: Sequence[float], size: tuple[int, int]) -> NDArray[np.float32]:
    """The grid laid over the part of the image that the model saw, with bilinear interpolation.

    Args:
        grid: gh gw, one value a cell.
        box: x0 y0 x1 y1 of that part, in pixels of the image; it may reach beyond the image where that was padded.
        size: width and height of the image.

    Returns:
        h w, float32; NaN at pixels whose centre the model did not see.
    """
    x0, y0, x1, y1 = (float(edge) for edge in box)
    down, seen_down = _weights(y0, y1, size[1], grid.shape[0])
    across, seen_across = _weights(x0, x1, size[0], grid.shape[1])
    heatmap = down @ np.asarray(grid, np.float32) @ across.T
    heatmap[~seen_down] = np.nan
    heatmap[:, ~seen_across] = np.nan
    return heatmap


def _weights(start: float, end: float, pixels: int, cells: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """How much each cell counts at each pixel along one side: pixels cells; and which pixels were seen."""
    centres = np.arange(pixels) + 0.5
    position = (centres - start) / (end - start) * cells - 0.5
    left = np.clip(np.floor(position).astype(int), 0, cells - 1)
    right = np.minimum(left + 1, cells - 1)
    share = np.clip(position - left, 0, 1)
    weights = np.zeros((pixels, cells), np.float32)
    np.add.at(weights, (np.arange(pixels), left), 1 - share)
    np.add.at(weights, (np.arange(pixels), right), share)
    return weights, (centres >= start) & (centres <= end)


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
    from ._base import check_images

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
