"""From a request to its explanations: checked, cut into batches, and each map placed on its image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from ...interfaces import Classifier
from ...records import Explanation, Failure
from ._place import place
from ._requests import Batch, batches, check_request, network


@dataclass(frozen=True)
class Maps:
    """The maps of a batch.

    Attributes:
        grids: n gh gw, float32.
        boxes: n 4: x0 y0 x1 y1 of what each grid covers, in pixels of the original.
    """

    grids: NDArray[np.float32]
    boxes: Tensor


def explained(  # noqa: PLR0917
    method: str,
    class_specific: bool,
    maps: Callable[[nn.Module, Batch, list[int]], Maps],
    classifier: Classifier,
    images: Sequence[Image.Image],
    targets: Sequence[int],
    batch_size: int,
) -> list[Explanation | Failure]:
    """One explanation an image, in order, from a method's maps of a batch.

    Raises:
        DataError: there are no images, their number is not that of the targets, or a target is no index of a label.
        PluginError: the network is in training mode, or layers of it are compiled.
        UndefinedMethodError: the classifier shows no network.
    """
    model = check_request(method, classifier, images, targets)
    found: list[Explanation | Failure] = []
    for batch in batches(model, images, batch_size):
        asked = [int(targets[index]) for index in batch.indices]
        made = maps(network(model), batch, asked)
        for index, target, grid, box in zip(batch.indices, asked, made.grids, made.boxes.tolist(), strict=True):
            heatmap = place(grid, box, images[index].size)
            found.append(Explanation(heatmap, method, target, class_specific, grid=grid))
    return found


def on_grid(rows: Tensor, prefix: int, grid: tuple[int, int]) -> NDArray[np.float32]:
    """The part of each row that lies on the patches, as a map: b n -> b gh gw."""
    found: NDArray[np.float32] = rows[:, prefix:].reshape(-1, *grid).float().cpu().numpy()
    return found
