"""What every layer of a vision transformer attends to, recorded on the way as one map a layer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from ._observer import Observer, attend, observing
from ._pooling import watched_pooling
from ._undoing import undone

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
