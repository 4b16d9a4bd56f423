"""GroupDRO: the loss of the worst groups, whose weights grow with their loss (arXiv 1911.08731)."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from ._augmentation import POLICIES
from ._erm import ErmLoss, LossSettings

STEP_SIZE = 0.01  # of the group weights, as published


class GroupDroLoss(ErmLoss):
    """The mean losses of the groups, weighted by group: online exponentiated weights, without adjustment for size.

    In each batch the weight q of a group is multiplied by exp(0.01 · its mean loss), and all are scaled to sum to 1.
    As published, batches are drawn with balanced groups. A group that is not in a batch counts with a loss of 0.

    Args:
        settings: of the training.
    """

    augmentations: ClassVar[tuple[str, ...]] = ("default", *POLICIES)  # a mixed image is in two groups

    def __init__(self, settings: LossSettings) -> None:
        super().__init__(settings)
        self.group_weights = torch.full((settings.groups,), 1 / settings.groups, device=settings.device)

    def reduce(self, losses: Tensor, weights: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """The weighted sum of the mean losses of the groups; moves the weights first."""
        members = torch.nn.functional.one_hot(batch["groups"], self.settings.groups).to(weights) * weights[:, None]
        totals = members.sum(0)
        means = losses @ members / torch.where(totals > 0, totals, 1)
        moved = self.group_weights * torch.exp(STEP_SIZE * means.detach())
        self.group_weights = moved / moved.sum()
        return means @ self.group_weights

    def get_state(self) -> dict[str, Any]:
        """The weights of the groups."""
        return {"group_weights": self.group_weights.tolist()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores them."""
        self.group_weights = torch.tensor(state["group_weights"], device=self.settings.device)
