"""Attention that computes its weights again on the way back: kept for all layers, they are most of the memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ._attention import Weigh

# Weights of each head and their gradient: b h q k, float32.
SeeGradient = Callable[[Tensor, Tensor], None]


def recomputed_attention(weigh: Weigh, see: SeeGradient, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """What a layer reads, b h q d, of whose weights nothing is kept: on the way back they are computed again.

    Args:
        weigh: gives the weights.
        see: called once on the way back, without gradients.
        query: b h q d.
        key: b h k d.
        value: b h k d.
    """
    return _RecomputedAttention.apply(weigh, see, query, key, value)  # type: ignore[no-untyped-call, no-any-return]


class _RecomputedAttention(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, weigh: Weigh, see: SeeGradient, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        context.save_for_backward(query, key, value)
        context.weigh, context.see = weigh, see
        kind = query.device.type
        context.autocast = (kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind))
        return weigh(query, key).to(value.dtype) @ value

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value = context.saved_tensors
        of_query, of_key, of_value = context.needs_input_grad[2:]
        with torch.autocast(*context.autocast), torch.enable_grad():
            query, key = query.detach().requires_grad_(of_query), key.detach().requires_grad_(of_key)
            weights = context.weigh(query, key)
        seen = weights.detach()
        of_weights = (gradient.to(value.dtype) @ value.transpose(-2, -1)).float()
        context.see(seen, of_weights)
        asked = [one for one in (query, key) if one.requires_grad]
        found = iter(torch.autograd.grad(weights, asked, of_weights) if asked else ())
        back = [next(found) if one.requires_grad else None for one in (query, key)]
        return None, None, *back, seen.to(gradient.dtype).transpose(-2, -1) @ gradient if of_value else None
