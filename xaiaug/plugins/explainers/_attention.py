"""What every layer of a vision transformer attends to, computed on the way and kept as one map a layer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

FUSIONS = ("mean", "max", "min")

_NAME = "xaiaug_capture"
_recording: ContextVar[Recording | None] = ContextVar("recording", default=None)
# The implementation sits on a config that threads may share: one of them captures at a time.
_lock = threading.RLock()


@dataclass
class Recording:
    """The attention maps of one forward pass.

    Attributes:
        fusion: how heads become one map: "mean", "max" or "min".
        maps: for each layer, in order: b q k, float32.
    """

    fusion: str = "mean"
    maps: list[Tensor] = field(default_factory=list)


@contextmanager
def recorded_attention(module: nn.Module, fusion: str = "mean") -> Iterator[Recording]:
    """Records the attention of forward passes inside the block, and leaves the network as it was.

    One softmax(QKᵀ) a layer is computed, and one map a layer kept; nothing is stored per head. Forward passes of other
    threads meanwhile are not recorded.
    """
    recording = Recording(fusion)
    with _lock:
        before = [(config, config._attn_implementation_internal) for config in _configs(module)]
        token = _recording.set(recording)
        try:
            for config, _ in before:
                config._attn_implementation_internal = _NAME
            yield recording
        finally:
            _recording.reset(token)
            for config, implementation in before:
                config._attn_implementation_internal = implementation


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
    """Attention that records its map: q, k, v are b h n d; the output is b n h d."""
    recording = _recording.get()
    if recording is None:
        found: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **others
        )
        return found
    scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    for bias in (attention_mask, others.get("position_bias")):
        if bias is not None:
            scores = scores.masked_fill(~bias, -torch.inf) if bias.dtype == torch.bool else scores + bias
    weights = scores.softmax(-1, dtype=torch.float32)
    recording.maps.append(_fuse(weights, recording.fusion))
    return (weights.to(value.dtype) @ value).transpose(1, 2).contiguous(), None


def _fuse(weights: Tensor, fusion: str) -> Tensor:
    """One map from those of all heads: b h q k -> b q k."""
    return weights.mean(1) if fusion == "mean" else getattr(weights, f"a{fusion}")(1)


AttentionInterface.register(_NAME, _attend)
# Without a mask function of that name masks would vanish silently.
AttentionMaskInterface.register(_NAME, sdpa_mask)
