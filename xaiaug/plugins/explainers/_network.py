"""Checks the request to an explainer, batches the images, and scales the grids of a batch to its images."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import DataError, PluginError, UndefinedMethodError, XaiaugError
from ...interfaces import Classifier, TorchModel
from ...records import Explanation, Failure
from ._heatmap import place

if TYPE_CHECKING:
    from torch import Tensor, nn

_LONGEST = 300  # characters of a quoted message
# Words in errors of torch, in lower case, and what to do.
_ADVICE = {
    "inference tensor": "it keeps tensors that were made under torch.inference_mode(); load it again, and call it under"
    " torch.no_grad() instead",
    "checkpoint": "it calls layers under torch.utils.checkpoint, which runs them twice; turn that off to explain it",
    "out of memory": "set a smaller batch_size on the explainer, or give smaller images",
    "not enough memory": "set a smaller batch_size on the explainer, or give smaller images",
}
_OTHERWISE = (
    "use an explainer that asks for predictions alone, occlusion or rise, or check that the network predicts images of"
    " that size"
)
_WRAPPED = "_orig_mod"  # where torch.compile keeps the network that it wraps


@dataclass(frozen=True)
class Batch:
    """Images of one size, as the network sees them.

    Attributes:
        indices: their positions among all images.
        pixels: n c h w.
        boxes: n 4: what the network saw of each, in pixels of the original.
    """

    indices: tuple[int, ...]
    pixels: Tensor
    boxes: Tensor


@dataclass(frozen=True)
class Grids:
    """Unscaled heatmaps of a batch.

    Attributes:
        values: n gh gw, float32.
        boxes: n 4: x0 y0 x1 y1 of what each grid covers, in pixels of the original.
        completeness_errors: n, the sum of each less what it should be, in logits; None where the method promises none.
    """

    values: NDArray[np.float32]
    boxes: Tensor
    completeness_errors: Sequence[float] | None = None


def explain_batches(
    method: str,
    explain_batch: Callable[[nn.Module, Batch, list[int]], Grids],
    classifier: TorchModel,
    images: Sequence[Image.Image],
    targets: Sequence[int],
    *,
    batch_size: int,
    class_specific: bool,
) -> list[Explanation | Failure]:
    """One explanation per image, in order, from the grids that a method gives for each batch."""
    from ._gradients import guard_gradients

    module = unwrap_network(classifier)
    explanations: list[Explanation | Failure] = []
    for batch in _iter_batches(classifier, images, batch_size):
        batch_targets = [int(targets[index]) for index in batch.indices]
        with name_network(method, module), guard_gradients(module):
            grids = explain_batch(module, batch, batch_targets)
        completeness_errors: Sequence[float | None] = grids.completeness_errors or [None] * len(batch_targets)
        rows = zip(batch.indices, batch_targets, grids.values, grids.boxes.tolist(), completeness_errors, strict=True)
        for index, target, grid, box, completeness_error in rows:
            heatmap = place(grid, box, images[index].size)
            explanations.append(Explanation(heatmap, method, target, class_specific, grid, completeness_error))
    return explanations


@contextmanager
def name_network(method: str, module: nn.Module) -> Iterator[None]:
    """Errors from inside the network become ones that name it, the method and what may help."""
    try:
        yield
    except XaiaugError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise PluginError(
            f"{method}: {type(module).__name__} failed while it was explained: {type(error).__name__}:"
            f" {text[:_LONGEST]}{'…' * (len(text) > _LONGEST)}; {_advise(error, text)}"
        ) from error


def _advise(error: Exception, text: str) -> str:
    words = f"{type(error).__name__} {text}".lower()
    return next((advice for word, advice in _ADVICE.items() if word in words), _OTHERWISE)


def _iter_batches(classifier: TorchModel, images: Sequence[Image.Image], batch_size: int) -> Iterator[Batch]:
    """The images in batches whose pixels share one shape, at most `batch_size` each, in order."""
    import torch

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


def unwrap_network(classifier: TorchModel) -> nn.Module:
    """The classifier's network, or the one that torch.compile wrapped: only the inner one calls all hooks."""
    return classifier.module._modules.get(_WRAPPED) or classifier.module


def name_of(classifier: Classifier) -> str:
    """The class name of the network, which a method is defined for; without a network, that of the classifier."""
    return type(unwrap_network(classifier) if isinstance(classifier, TorchModel) else classifier).__name__


def check_network(
    method: str, classifier: Classifier, images: Sequence[Image.Image], targets: Sequence[int]
) -> TorchModel:
    """The classifier as a `TorchModel`, once the request and the state of its network are checked.

    Raises:
        DataError: there are no images, their number is not that of the targets, or a target is no index of a label.
        PluginError: the network is in training mode, or layers of it are compiled.
        UndefinedMethodError: the classifier shows no network.
    """
    check_request(method, classifier, images, targets)
    if not isinstance(classifier, TorchModel):
        raise UndefinedMethodError(
            f"{method} is not defined for {type(classifier).__name__}: it needs `module` and `preprocess` (see"
            " xaiaug.interfaces.TorchModel); the explainers occlusion and rise need neither"
        )
    parts = list(unwrap_network(classifier).modules())
    if any(part.training for part in parts):
        raise PluginError(f"{method}: {name_of(classifier)} is in training mode; call eval() on it")
    if any(_WRAPPED in part._modules or part._compiled_call_impl is not None for part in parts):
        raise PluginError(
            f"{method}: {name_of(classifier)} has compiled layers, whose outputs cannot be read; give the classifier"
            " the network without compile(), or torch.compile(network), which is unwrapped here"
        )
    return classifier


def check_request(method: str, classifier: Classifier, images: Sequence[Image.Image], targets: Sequence[int]) -> None:
    """Checks that there is one valid target per image.

    Raises:
        DataError: there are no images, their number is not that of the targets, or a target is no index of a label.
    """
    name = name_of(classifier)
    if len(images) != len(targets):
        raise DataError(
            f"{method}: needs one target per image to explain {name}, got {len(images)} images and"
            f" {len(targets)} targets"
        )
    if not images:
        raise DataError(f"{method}: got no images to explain {name} on; give at least one, with a target each")
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
