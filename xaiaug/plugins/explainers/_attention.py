"""What every layer of a vision transformer attends to, recorded on the way as one map a layer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from ._hooks import hooked, undone


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


_NAME = "xaiaug_capture"
# The implementation sits on a config that threads may share: one of them observes at a time.
_lock = threading.RLock()


@dataclass
class Recording(Observer):
    """The attention maps of one forward pass; nothing is kept of single heads.

    Attributes:
        fusion: how heads become one map: "mean", "max" or "min".
        last: whether only the last layer's map is kept.
        maps: for each layer, in order: b q k, float32.
        pooled: what each pooling head attends to: b n, float32.
    """

    fusion: str = "mean"
    last: bool = False
    maps: list[Tensor] = field(default_factory=list)
    pooled: list[Tensor] = field(default_factory=list)

    def weights(self, weights: Tensor, pooling: bool) -> Tensor:
        """Keeps one map of all heads: b h q k -> b q k."""
        fused = weights.mean(1) if self.fusion == "mean" else getattr(weights, f"a{self.fusion}")(1)
        if pooling:
            self.pooled.append(fused[:, 0])
            return weights
        if self.last:
            self.maps.clear()
        self.maps.append(fused)
        return weights

    def pooled_row(self) -> Tensor:
        """What the last pooling head attends to, with a sum of one after any fusion: b n."""
        return self.pooled[-1] / self.pooled[-1].sum(-1, keepdim=True)


@contextmanager
def recorded_attention(module: nn.Module, fusion: str = "mean", last: bool = False) -> Iterator[Recording]:
    """Records the attention of forward passes inside the block, and leaves the network as it was."""
    recording = Recording(fusion, last)
    with observed_attention(module, recording):
        yield recording


@contextmanager
def observed_attention(module: nn.Module, observer: Observer) -> Iterator[None]:
    """Shows an observer the attention of forward passes inside the block, and leaves the network as it was.

    Forward passes of other threads meanwhile are not observed.
    """
    with _lock:
        earlier = observing.get()
        ways = [(config, config._attn_implementation_internal) for config in _configs(module)]

        def restore() -> None:
            observing.set(earlier)
            for config, way in ways:
                config._attn_implementation_internal = way

        with undone(restore), watched_pooling(module):
            observing.set(observer)
            for config, _ in ways:
                config._attn_implementation_internal = _NAME
            yield


def _configs(module: nn.Module) -> list[Any]:
    """All configs in the network that choose an attention implementation, each once."""
    found = {}
    for part in module.modules():
        config = getattr(part, "config", None)
        if hasattr(config, "_attn_implementation_internal"):
            found[id(config)] = config
    return list(found.values())


def _attend(  # noqa: PLR0917  (the signature is the interface's)
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **others: Any,
) -> tuple[Tensor, Tensor | None]:
    """The attention of transformers: q, k, v are b h n d; the output is b n h d."""
    observer = observing.get()
    if observer is None:
        plain: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **others
        )
        return plain
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    return attend(observer, query, key, value, scaling, attention_mask, others.get("position_bias")), None


AttentionInterface.register(_NAME, _attend)
# Without a mask function of that name masks would vanish silently.
AttentionMaskInterface.register(_NAME, sdpa_mask)
