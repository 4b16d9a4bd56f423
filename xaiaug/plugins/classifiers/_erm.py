"""Plain training: the weighted mean of the cross-entropies of a batch. Other methods of the Trainer start from it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from .._logits import compute_logits
from ._augmentation import AUGMENTATIONS
from ._dataset import TrainingDataset


@dataclass(frozen=True)
class LossSettings:
    """What the loss of a training depends on besides its batches.

    Attributes:
        device: of the network.
        classes: how many there are.
        groups: how many groups the training images form; 0 where they are in none.
        class_weights: weight of each class; None: all equal.
        label_smoothing: share of each label that is spread over all classes, 0 to 1.
    """

    device: torch.device
    classes: int
    groups: int = 0
    class_weights: Sequence[float] | None = None
    label_smoothing: float = 0.0


class ErmLoss:
    """The mean of a batch's cross-entropies, weighted by image and class.

    Attributes:
        augmentations: those that it can be combined with.

    Args:
        settings: of the training.
    """

    augmentations: ClassVar[tuple[str, ...]] = AUGMENTATIONS

    def __init__(self, settings: LossSettings) -> None:
        self.settings = settings
        weights = settings.class_weights
        self._class_weights = None if weights is None else torch.tensor(weights, device=settings.device)

    @classmethod
    def list_notes(cls, dataset: TrainingDataset) -> tuple[str, ...]:  # noqa: ARG003  (for methods to use)
        """What the reader of a report must know of a training on these images."""
        return ()

    def prepare(self, module: nn.Module) -> AbstractContextManager[None]:  # noqa: ARG002  (likewise)
        """A block in which the network can be trained by this loss."""
        return nullcontext()

    def compute(self, module: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The loss of a batch, and the logits: n k.

        Args:
            module: the network, in training mode.
            batch: as `Collator` makes it.
        """
        outputs = compute_logits(module, batch["pixels"])
        return self.reduce(self.compute_each(outputs.float(), batch), self.weigh(batch), batch), outputs

    def compute_each(self, outputs: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """The cross-entropy of each image: n."""
        losses = self._cross_entropy(outputs, batch["targets"])
        if "others" in batch:  # a mixed image is partly of another class
            losses = (1 - batch["share"]) * losses + batch["share"] * self._cross_entropy(outputs, batch["others"])
        return losses

    def weigh(self, batch: dict[str, Tensor]) -> Tensor:
        """The weight of each image: n."""
        weights = batch["weights"]
        return weights if self._class_weights is None else weights * self._class_weights[batch["targets"]]

    def reduce(self, losses: Tensor, weights: Tensor, batch: dict[str, Tensor]) -> Tensor:  # noqa: ARG002  (likewise)
        """The loss of a batch from those of its images."""
        return (losses * weights).sum() / weights.sum()

    def get_state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it, JSON-plain."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what `get_state` returned."""

    def _cross_entropy(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(outputs, targets, reduction="none", label_smoothing=self.settings.label_smoothing)
