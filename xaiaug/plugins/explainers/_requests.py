"""What an explainer is asked, checked and cut into batches of one size."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from ...errors import DataError, PluginError, UndefinedMethodError
from ...interfaces import Classifier, TorchModel

_WRAPPED = "_orig_mod"  # where torch.compile keeps the network that it wraps


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


def check_images(method: str, classifier: Classifier, images: Sequence[Image.Image], targets: Sequence[int]) -> None:
    """Looks at what was asked.

    Raises:
        DataError: there are no images, their number is not that of the targets, or a target is no index of a label.
    """
    name = _name(classifier)
    if len(images) != len(targets):
        raise DataError(
            f"{method}: needs one target an image to explain {name}, got {len(images)} images and"
            f" {len(targets)} targets"
        )
    if not images:
        raise DataError(f"{method}: got no images to explain {name} on; give one or more, with a target each")
    wrong = [target for target in targets if not _is_index(target, len(classifier.labels))]
    if wrong:
        raise DataError(
            f"{method}: targets must lie in 0..{len(classifier.labels) - 1}, the labels of {name}, got {wrong[0]!r}"
        )


def _is_index(target: Any, count: int) -> bool:
    try:
        return 0 <= operator.index(target) < count
    except TypeError:  # 1.5, None or the name of a label
        return False


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
        raise PluginError(f"{method}: {_name(classifier)} is in training mode; call eval() on it")
    if any(_WRAPPED in part._modules or part._compiled_call_impl is not None for part in parts):
        raise PluginError(
            f"{method}: {_name(classifier)} has compiled layers, which do not show what they return; give the"
            " classifier the network without compile(), or torch.compile(network), inside which it is found"
        )
    return classifier


def network(classifier: TorchModel) -> nn.Module:
    """The classifier's network, or the one inside where torch.compile wrapped it: only that calls all hooks."""
    return classifier.module._modules.get(_WRAPPED) or classifier.module


def _name(classifier: Classifier) -> str:
    """The network's class where there is one, since that is what a method is defined for."""
    return type(network(classifier) if isinstance(classifier, TorchModel) else classifier).__name__


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
