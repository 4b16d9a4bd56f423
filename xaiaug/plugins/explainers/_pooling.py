"""Pooling heads by torch's own attention (SigLIP), whose maps stay inside: computed again in front of an observer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import linear

from ._observer import attend, observing
from ._undoing import hooked


@contextmanager
def watched_pooling(module: nn.Module) -> Iterator[None]:
    """Inside the block pooling heads attend in front of whoever observes in their thread."""
    heads = [part for part in module.modules() if isinstance(part, nn.MultiheadAttention)]
    usual = [part for part in heads if part.batch_first and part.in_proj_weight is not None]
    with hooked(usual, partial(_pool), with_kwargs=True):
        yield


def _pool(part: Any, given: tuple[Any, ...], named: dict[str, Any], output: Any) -> Any:
    """The head's output again, as it comes in front of the observer; None, which keeps it, where nobody looks on."""
    observer = observing.get()
    given = (*given, *(named[name] for name in ("query", "key", "value")[len(given) :]))
    query, key = given[:2]
    if observer is None or not query.shape[1] == 1 < key.shape[1]:
        return None
    weights = part.in_proj_weight.chunk(3)
    biases = (None,) * 3 if part.in_proj_bias is None else part.in_proj_bias.chunk(3)
    heads = [
        _heads(linear(tokens, weight, bias), part.num_heads)
        for tokens, weight, bias in zip(given[:3], weights, biases, strict=True)
    ]
    mask = named.get("attn_mask")
    mask = mask if mask is None or mask.ndim < 3 else mask.view(len(query), part.num_heads, 1, -1)
    pooled = attend(observer, heads[0], heads[1], heads[2], part.head_dim**-0.5, mask)
    return part.out_proj(pooled.flatten(2)), output[1]


def _heads(tokens: Tensor, count: int) -> Tensor:
    """b n (h d) -> b h n d"""
    return tokens.view(*tokens.shape[:2], count, -1).transpose(1, 2)
