"""Aggregates attention over all layers: rollout and relevance, one row of the product in place of the matrix."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from ._attention import Observer, Weigh
from ._recomputed_attention import recomputed_attention


def rollout(maps: Sequence[Tensor], readout: Tensor, discard_ratio: float = 0.0, sums_to_one: bool = False) -> Tensor:
    """One row of the attention rollout (arXiv:2005.00928): b n, float32; each sums to one.

    With Â the rows of A + I, each divided by its sum, it is `readout` Â_L … Â_1: a row times a matrix from the last
    layer to the first, which costs n times less than the product of the matrices, and is the same row of it.

    Args:
        maps: for each layer, from the first to the last: b n n, not negative.
        readout: n, where to start, or b n, another start for each image; sums to one.
        discard_ratio: share of each map's smallest values that is set to zero first.
        sums_to_one: whether the rows of all maps do; they are then read once, not twice.
    """
    with torch.autocast(maps[0].device.type, enabled=False):
        row = readout.float().expand(len(maps[0]), -1).unsqueeze(1)
        if sums_to_one and not discard_ratio:
            for attention in reversed(maps):
                row = torch.baddbmm(row, row, attention.float())
            return row.squeeze(1) / 2.0 ** len(maps)  # halved once, not in every layer: exact, by a power of two
        for attention in reversed(maps):
            kept = _drop_smallest(attention.float(), discard_ratio)
            scaled = row / (kept.sum(-1).unsqueeze(1) + 1)
            row = torch.baddbmm(scaled, scaled, kept)
        return row.squeeze(1)


def _drop_smallest(attention: Tensor, share: float) -> Tensor:
    flat = attention.flatten(1)
    count = int(share * flat.shape[1])
    if not count:
        return attention
    smallest = flat.topk(count, largest=False).indices
    return flat.scatter(1, smallest, 0.0).view_as(attention)


class Relevance(Observer):
    """One row of the relevance of Chefer et al. 2021 (arXiv:2103.15679), updated during the backward pass.

    With Ā the mean over heads of (∇A ⊙ A)⁺ it is the row of R, R ← R + ĀR from the first layer to the last. Gradients
    come from the last layer to the first, the order in which r ← r + rĀ is the same row: so only the row is kept.

    Args:
        row: n, where it starts; None to start with what a pooling head attends to.

    Attributes:
        row: b n, float32, once `backpropagate` has returned True.
    """

    def __init__(self, row: Tensor | None) -> None:
        self.row = row
        self._first: Tensor | None = None

    def attend(self, weigh: Weigh, query: Tensor, key: Tensor, value: Tensor, pooling: bool) -> Tensor:
        """From the first layer on, gradients are computed; a layer's map is seen when its gradient comes."""
        if self._first is None and not pooling:
            torch.set_grad_enabled(True)
            query = self._first = query.detach().requires_grad_()
        if pooling and self.row is not None:
            return super().attend(weigh, query, key, value, pooling)
        return recomputed_attention(weigh, partial(self._on_gradient, pooling), query, key, value)

    def backpropagate(self, logits: Tensor) -> bool:
        """Backpropagates the sum of some logits; whether gradients reached the first layer."""
        # Released here, since its hook leads back to this object.
        first, self._first = self._first, None
        if first is None or not logits.requires_grad:
            return False
        (gradient,) = torch.autograd.grad(logits.sum(), first, allow_unused=True)
        return gradient is not None

    def _on_gradient(self, pooling: bool, weights: Tensor, gradient: Tensor) -> None:
        with torch.autocast(weights.device.type, enabled=False):
            relevance = (gradient * weights).clamp_(min=0).mean(1)
            if pooling:
                self.row = relevance[:, 0]
            elif self.row is not None:
                row = self.row.expand(len(relevance), -1).unsqueeze(1)
                self.row = torch.baddbmm(row, row, relevance).squeeze(1)
