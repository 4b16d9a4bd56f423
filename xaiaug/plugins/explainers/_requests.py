"""What an explainer is asked, checked and cut into batches of one size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from ...errors import PluginError, UndefinedMethodError
from ...interfaces import Classifier, TorchModel
from ._choices import WRAPPED, check_images, name_of, network



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
