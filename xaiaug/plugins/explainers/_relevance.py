"""Relevance of every token to a class, gathered while gradients travel back through the layers."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from ._observer import Observer


class Relevance(Observer):
    """One row of the relevance of Chefer et al. 2021 (arXiv:2103.15679), kept as the backward pass goes by.

    With Ā the mean over heads of (∇A ⊙ A)⁺ it is the row of R, R ← R + ĀR from the first layer to the last. Gradients
    come from the last layer to the first, the order in which r ← r + rĀ is the same row: so only the row is kept.

    Args:
        row: n, where it starts; None to start with what a pooling head attends to.

    Attributes:
        row: b n, float32, once `follow` has returned True.
    """

    def __init__(self, row: Tensor | None) -> None:
        self.row = row
        self._first: Tensor | None = None

    def weights(self, weights: Tensor, pooling: bool) -> Tensor:
        """Has the gradient of a layer's map pass by; from the first layer on, gradients are kept."""
        if self._first is None and not pooling:
            torch.set_grad_enabled(True)
            weights = self._first = weights.detach().requires_grad_()
        if not weights.requires_grad or (pooling and self.row is not None):
            return weights
        # Of a tensor without a graph: with one, tensor and hook would keep each other alive.
        weights.register_hook(partial(self._passed, weights.detach(), pooling))  # type: ignore[no-untyped-call]
        return weights

    def follow(self, logits: Tensor) -> bool:
        """Has the gradients of the sum of some logits go back; whether they reached the first layer."""
        # Given up here, since its hook leads back to this object.
        first, self._first = self._first, None
        if first is None or not logits.requires_grad:
            return False
        (gradient,) = torch.autograd.grad(logits.sum(), first, allow_unused=True)
        return gradient is not None

    def _passed(self, weights: Tensor, pooling: bool, gradient: Tensor) -> None:
        with torch.no_grad(), torch.autocast(weights.device.type, enabled=False):
            relevance = (gradient.float() * weights).clamp_(min=0).mean(1)
            if pooling:
                self.row = relevance[:, 0]
            elif self.row is not None:
                row = self.row.expand(len(relevance), -1).unsqueeze(1)
                self.row = torch.baddbmm(row, row, relevance).squeeze(1)
