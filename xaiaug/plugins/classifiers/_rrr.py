"""Right for the right reasons: a penalty on input gradients off the subject (arXiv 1703.03717)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...errors import UnsupportedRecipeError
from .._logits import compute_logits
from ._dataset import TrainingDataset
from ._erm import ErmLoss, LossSettings

FLAT = 1e-12  # squared gradients below it are those of a network that ignores its input


class RrrLoss(ErmLoss):
    """Cross-entropy, and the squared gradient of Σₖ log pₖ by the pixels that are not of the subject.

    The publication sets the weight of the penalty so that both terms are of similar size. Here the penalty is divided
    by the mean squared gradient over whole images of the first batch, and multiplied by the cross-entropy of a guess,
    log k: a network that looks off the subject alone starts with a penalty of log k. An image without a clear subject
    has none.

    Args:
        settings: of the training.
    """

    augmentations: ClassVar[tuple[str, ...]] = ("default",)  # others move pixels away from their mask

    def __init__(self, settings: LossSettings) -> None:
        super().__init__(settings)
        self.scale: float | None = None

    @classmethod
    def list_notes(cls, dataset: TrainingDataset) -> tuple[str, ...]:
        """How many images carry no penalty."""
        places = {sample.id: index for index, sample in enumerate(dataset.samples)}.values()
        without = sum(not dataset.has_subject(index) for index in places)
        if not without:
            return ()
        return (f"no subject is clear in {without} of {len(places)} training images: these carry no penalty.",)

    def prepare(self, module: nn.Module) -> AbstractContextManager[None]:
        """A block with attention that can be differentiated twice."""
        return use_eager_attention(module)

    def compute(self, module: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The loss of a batch, and the logits: n k.

        Raises:
            UnsupportedRecipeError: a part of the network cannot be differentiated twice.
        """
        pixels = batch["pixels"].requires_grad_()
        outputs = compute_logits(module, pixels)
        loss = self.reduce(self.compute_each(outputs.float(), batch), self.weigh(batch), batch)
        first = self.scale is None
        try:
            (gradients,) = torch.autograd.grad(outputs.float().log_softmax(-1).sum(), pixels, create_graph=True)
            penalty = self._penalise(gradients.float().square().sum(1), batch["off_subject"])
            if first:  # some operations have a gradient and no second one, which shows only when it is needed
                torch.autograd.backward(penalty, retain_graph=True)
                module.zero_grad()
        except RuntimeError as error:
            raise UnsupportedRecipeError(
                f"rrr differentiates {type(module).__name__} twice, which it does not allow:"
                f" {' '.join(str(error).split())[:200]}"
            ) from error
        return loss + penalty, outputs

    def _penalise(self, energy: Tensor, off_subject: Tensor) -> Tensor:
        """The penalty, from the squared gradient of each pixel: n h w."""
        whole = energy.detach().sum((1, 2)).mean().item()
        if self.scale is None and whole > FLAT:
            self.scale = math.log(self.settings.classes) / whole
        # The published mask is multiplied with the gradient before it is squared.
        return (self.scale or 0.0) * (energy * off_subject.square()).sum((1, 2)).mean()

    def get_state(self) -> dict[str, Any]:
        """The weight of the penalty."""
        return {"scale": self.scale}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores it."""
        self.scale = state["scale"]


@contextmanager
def use_eager_attention(module: nn.Module) -> Iterator[None]:
    """Has the network compute attention step by step inside the block: fused attention has no second derivative."""
    known: list[Any] = [getattr(part, "config", None) for part in module.modules()]
    configs = {id(config): config for config in known if hasattr(config, "_attn_implementation_internal")}
    before = [(config, config._attn_implementation_internal) for config in configs.values()]
    try:
        for config, _ in before:
            config._attn_implementation_internal = "eager"
        yield
    finally:
        for config, implementation in before:
            config._attn_implementation_internal = implementation
