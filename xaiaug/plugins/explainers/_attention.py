"""Observes or records what every layer of a vision transformer attends to, pooling heads included."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
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

from ._hooks import attach_hooks, ensure_undo

_NAME = "xaiaug_capture"
# The implementation is set on a config that threads may share: only one of them observes at a time.
_lock = threading.RLock()


# The map of each head of a layer, b h q k, float32, from its queries and keys: b h q d and b h k d.
Weigh = Callable[[Tensor, Tensor], Tensor]


class Observer:
    """Sees the attention of each layer; the network continues with what its methods return.

    A pooling head attends from one token of its own to all others: its map has one row.
    """

    def attend(self, weigh: Weigh, query: Tensor, key: Tensor, value: Tensor, pooling: bool) -> Tensor:
        """What the layer reads: b h q d."""
        return self.on_weights(weigh(query, key), pooling).to(value.dtype) @ value

    def on_weights(self, weights: Tensor, pooling: bool) -> Tensor:  # noqa: ARG002
        """Takes and returns the map of each head of a layer: b h q k, float32; q is 1 for a pooling head."""
        return weights

    def on_output(self, output: Tensor, pooling: bool) -> Tensor:  # noqa: ARG002
        """Takes and returns what the layer read: b n h d."""
        return output

    def on_hidden(self) -> None:
        """Called where a layer attends whose weights cannot be shown."""


# Each thread has a context, and so an observer, of its own.
current_observer: ContextVar[Observer | None] = ContextVar("current_observer", default=None)


@dataclass
class Recording(Observer):
    """The attention maps of one forward pass, heads fused.

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

    def on_weights(self, weights: Tensor, pooling: bool) -> Tensor:
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
def record_attention(module: nn.Module, fusion: str = "mean", last: bool = False) -> Iterator[Recording]:
    """Records the attention of forward passes inside the block, and leaves the network as it was."""
    recording = Recording(fusion, last)
    with observe_attention(module, recording):
        yield recording


@contextmanager
def observe_attention(module: nn.Module, observer: Observer) -> Iterator[None]:
    """Shows an observer the attention of forward passes inside the block, and leaves the network as it was.

    Forward passes of other threads meanwhile are not observed.
    """
    with _lock:
        earlier = current_observer.get()
        implementations = [(config, config._attn_implementation_internal) for config in _find_configs(module)]

        def restore() -> None:
            current_observer.set(earlier)
            for config, implementation in implementations:
                config._attn_implementation_internal = implementation

        with ensure_undo(restore), _observe_pooling_heads(module):
            current_observer.set(observer)
            for config, _ in implementations:
                config._attn_implementation_internal = _NAME
            yield


def _find_configs(module: nn.Module) -> list[Any]:
    """All configs in the network that choose an attention implementation, each once."""
    configs = {}
    for part in module.modules():
        config = getattr(part, "config", None)
        if hasattr(config, "_attn_implementation_internal"):
            configs[id(config)] = config
    return list(configs.values())


def _attend(
    observer: Observer, query: Tensor, key: Tensor, value: Tensor, scaling: float, *biases: Tensor | None
) -> Tensor:
    """Attention by one softmax(QKᵀ), which the observer sees: b n h d.

    Args:
        observer: sees the weights and the output.
        query: b h q d.
        key: b h k d.
        value: b h k d.
        scaling: of the scores.
        biases: each is added to the scores, or where it is bool, masks them where it is False.
    """
    pooling = query.shape[-2] == 1 < key.shape[-2]
    read = observer.attend(partial(_weigh, scaling=scaling, biases=biases), query, key, value, pooling)
    return observer.on_output(read.transpose(1, 2).contiguous(), pooling)


def _weigh(query: Tensor, key: Tensor, scaling: float, biases: Sequence[Tensor | None]) -> Tensor:
    scores = (query * scaling) @ key.transpose(-2, -1)
    for bias in biases:
        if bias is not None:
            scores = scores.masked_fill(~bias, -torch.inf) if bias.dtype == torch.bool else scores + bias
    return scores.softmax(-1, dtype=torch.float32)


def _attend_in_transformers(  # noqa: PLR0917  (the signature is the interface's)
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **others: Any,
) -> tuple[Tensor, Tensor | None]:
    """The attention implementation registered with transformers: q, k, v are b h n d; the output is b n h d."""
    observer = current_observer.get()
    if observer is None:
        plain: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **others
        )
        return plain
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    return _attend(observer, query, key, value, scaling, attention_mask, others.get("position_bias")), None


AttentionInterface.register(_NAME, _attend_in_transformers)
# Without a mask function of that name masks would be dropped silently.
AttentionMaskInterface.register(_NAME, sdpa_mask)


@contextmanager
def _observe_pooling_heads(module: nn.Module) -> Iterator[None]:
    """Shows the attention of pooling heads, which are torch's own, to the observer of their thread in the block."""
    parts = [part for part in module.modules() if isinstance(part, nn.MultiheadAttention)]
    # A partial of its own, so that leaving the block removes the hooks of this block alone.
    with attach_hooks(parts, partial(_pool), with_kwargs=True):
        yield


def _pool(part: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
    """The head's output, computed again for the observer; None, which keeps the output, where there is none."""
    observer = current_observer.get()
    if observer is None:
        return None
    given = dict(zip(("query", "key", "value", "key_padding_mask", "need_weights", "attn_mask"), args, strict=False))
    given |= kwargs
    query, key = given["query"], given["key"]
    if not _is_pooling(part, query, key) or given.get("is_causal"):
        observer.on_hidden()
        return None
    weights = part.in_proj_weight.chunk(3)
    biases = (None,) * 3 if part.in_proj_bias is None else part.in_proj_bias.chunk(3)
    heads = [
        _split_heads(linear(tokens, weight, bias), part.num_heads)
        for tokens, weight, bias in zip((query, key, given["value"]), weights, biases, strict=True)
    ]
    mask, padding = _invert(given.get("attn_mask")), _invert(given.get("key_padding_mask"))
    mask = mask if mask is None or mask.ndim < 3 else mask.view(len(query), part.num_heads, 1, -1)
    padding = None if padding is None else padding[:, None, None]
    pooled = _attend(observer, heads[0], heads[1], heads[2], part.head_dim**-0.5, mask, padding)
    return part.out_proj(pooled.flatten(2)), output[1]


def _is_pooling(part: Any, query: Tensor, key: Tensor) -> bool:
    """Whether torch's attention goes from one token of its own to others, in the form that is computed again here."""
    plain = part.batch_first and part.in_proj_weight is not None and part.bias_k is None and not part.add_zero_attn
    return bool(plain and query.ndim == 3 and query.shape[1] == 1 < key.shape[1])


def _invert(mask: Tensor | None) -> Tensor | None:
    """A mask of torch's own attention as one of scores: there, bools are True at what is masked."""
    return ~mask if mask is not None and mask.dtype == torch.bool else mask


def _split_heads(tokens: Tensor, count: int) -> Tensor:
    """b n (h d) -> b h n d"""
    return tokens.view(*tokens.shape[:2], count, -1).transpose(1, 2)
