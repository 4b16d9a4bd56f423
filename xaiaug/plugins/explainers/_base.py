"""The words that attention explainers know for fusing heads and reading rows."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image

from ...errors import ConfigError, DataError
from ...interfaces import Classifier, TorchModel

if TYPE_CHECKING:
    from torch import nn

FUSIONS = ("mean", "max", "min")
READOUTS = ("auto", "cls", "mean", "pooling")


def check_fusion(method: str, head_fusion: str) -> str:
    """The head fusion, if it is one; else a ConfigError."""
    return _check(method, "head_fusion", head_fusion, FUSIONS)


def check_readout(method: str, readout: str) -> str:
    """The readout, if it is one; else a ConfigError."""
    return _check(method, "readout", readout, READOUTS)


def _check(method: str, name: str, given: str, known: tuple[str, ...]) -> str:
    if given not in known:
        raise ConfigError(f"{method}: {name} must be one of {', '.join(map(repr, known))}, got {given!r}")
    return given


WRAPPED = "_orig_mod"  # where torch.compile keeps the network that it wraps


def check_images(method: str, classifier: Classifier, images: Sequence[Image.Image], targets: Sequence[int]) -> None:
    """Looks at what was asked.

    Raises:
        DataError: there are no images, their number is not that of the targets, or a target is no index of a label.
    """
    name = name_of(classifier)
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


def network(classifier: TorchModel) -> nn.Module:
    """The classifier's network, or the one inside where torch.compile wrapped it: only that calls all hooks."""
    return classifier.module._modules.get(WRAPPED) or classifier.module


def name_of(classifier: Classifier) -> str:
    """The network's class where there is one, since that is what a method is defined for."""
    return type(network(classifier) if isinstance(classifier, TorchModel) else classifier).__name__
