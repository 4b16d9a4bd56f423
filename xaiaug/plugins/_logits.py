"""What a network answers, whichever way its family likes to be asked."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn


def logits(module: nn.Module, pixels: Tensor) -> Tensor:
    """The logits for prepared images: n k.

    Args:
        module: returns logits, bare or as the attribute `logits` of what it returns.
        pixels: n c h w; of another size than the network was made for where its positions can be interpolated.
    """
    output = module(pixels, **_size_arguments(module, pixels))
    found = output if isinstance(output, Tensor) else output.logits
    if not isinstance(found, Tensor):
        raise TypeError(f"{type(module).__name__} must return logits as a Tensor, got {type(found).__name__}")
    return found


def _size_arguments(module: nn.Module, pixels: Tensor) -> dict[str, Any]:
    config = getattr(module, "config", None)
    own = getattr(getattr(config, "vision_config", config), "image_size", None)
    if own is None or "interpolate_pos_encoding" not in inspect.signature(module.forward).parameters:
        return {}
    height, width = own if isinstance(own, Iterable) else (own, own)
    return {} if tuple(pixels.shape[-2:]) == (height, width) else {"interpolate_pos_encoding": True}
