"""From a request to its explanations: checked, cut into batches, and each map placed on its image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from ...errors import PluginError, UndefinedMethodError
from ...interfaces import Classifier, TorchModel
from ...records import Explanation, Failure
from ._base import WRAPPED, check_images, name_of, network
from ._heatmap import place


@dataclass(frozen=True)
class Batch:
    """Images of one size, as the network sees them.

    Attributes:
        indices: their places among all images.
        pixels: n c h w.
        boxes: n 4: what the network saw of each, in pixels of the original.
    """

    indices: tuple[int, ...]
    pixels: Tensor
    boxes: Tensor


def check_request(
    method: str, classifier: Classifier, images: Sequence[Image.Image], targets: Sequence[int]
) -> TorchModel:
    """The classifier as one that shows its network, after a look at what was asked of it.

    Raises:
        DataError: there are no images, their number is not that of the targets, or a target is no index of a label.
        PluginError: the network is in training mode, or layers of it are compiled.
        UndefinedMethodError: the classifier shows no network.
    """
    check_images(method, classifier, images, targets)
    if not isinstance(classifier, TorchModel):
        raise UndefinedMethodError(
            f"{method} is not defined for {type(classifier).__name__}: it needs `module` and `preprocess` (see"
            " xaiaug.interfaces.TorchModel); the explainers random and uniform need neither"
        )
    parts = list(network(classifier).modules())
    if any(part.training for part in parts):
        raise PluginError(f"{method}: {name_of(classifier)} is in training mode; call eval() on it")
    if any(WRAPPED in part._modules or part._compiled_call_impl is not None for part in parts):
        raise PluginError(
            f"{method}: {name_of(classifier)} has compiled layers, which do not show what they return; give the"
            " classifier the network without compile(), or torch.compile(network), inside which it is found"
        )
    return classifier


def batches(classifier: TorchModel, images: Sequence[Image.Image], batch_size: int) -> Iterator[Batch]:
    """The images in batches whose pixels share one shape, at most `batch_size` each, in order."""
    indices: list[int] = []
    pixels: list[Tensor] = []
    boxes: list[Tensor] = []
    for index, image in enumerate(images):
        # One by one: a processor may let images keep different sizes.
        prepared = classifier.preprocess([image])
        if pixels and (len(pixels) == batch_size or prepared.pixels.shape != pixels[0].shape):
            yield Batch(tuple(indices), torch.cat(pixels), torch.cat(boxes))
            indices, pixels, boxes = [], [], []
        indices.append(index)
        pixels.append(prepared.pixels)
        boxes.append(prepared.boxes)
    if pixels:
        yield Batch(tuple(indices), torch.cat(pixels), torch.cat(boxes))


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
