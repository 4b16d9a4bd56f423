"""Whoever looks on while a network attends, and attention in front of them."""

from __future__ import annotations

from contextvars import ContextVar

import torch
from torch import Tensor


class Observer:
    """Looks on while a network attends; what it returns is what the network goes on with.

    A pooling head attends from one token of its own to all others: its map has one row.
    """

    def weights(self, weights: Tensor, pooling: bool) -> Tensor:  # noqa: ARG002
        """The map of each head of a layer: b h q k, float32; of a pooling head q is one."""
        return weights

    def output(self, output: Tensor, pooling: bool) -> Tensor:  # noqa: ARG002
        """What the layer read: b n h d."""
        return output


# In a context of its own each thread has its own observer.
observing: ContextVar[Observer | None] = ContextVar("observing", default=None)


def attend(
    observer: Observer, query: Tensor, key: Tensor, value: Tensor, scaling: float, *biases: Tensor | None
) -> Tensor:
    """Attention in front of an observer, by one softmax(QKᵀ): b n h d.

    Args:
        observer: sees the weights and the output.
        query: b h q d.
        key: b h k d.
        value: b h k d.
        scaling: of the scores.
        biases: each is added to the scores, or where it is bool, masks them where it is False.
    """
    scores = (query * scaling) @ key.transpose(-2, -1)
    for bias in biases:
        if bias is not None:
            scores = scores.masked_fill(~bias, -torch.inf) if bias.dtype == torch.bool else scores + bias
    pooling = query.shape[-2] == 1 < key.shape[-2]
    weights = observer.weights(scores.softmax(-1, dtype=torch.float32), pooling)
    return observer.output((weights.to(value.dtype) @ value).transpose(1, 2).contiguous(), pooling)
