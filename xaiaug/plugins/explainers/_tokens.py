"""How the tokens of a vision transformer lie on the image, and which of them its head reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import UndefinedMethodError

# Families whose head reads the first token (the CLS token), and those where it reads the first two.
_READ_FIRST = {"vit", "vit_msn", "deit", "dinov2", "dinov2_with_registers"}
_READ_FIRST_TWO = {"DeiTForImageClassificationWithTeacher"}


@dataclass(frozen=True)
class Tokens:
    """The tokens of one forward pass.

    Attributes:
        count: all tokens.
        prefix: tokens before those of the patches: CLS, distillation, registers.
        grid: rows and columns of patches.
        read: indices of the tokens that the head reads.
    """

    count: int
    prefix: int
    grid: tuple[int, int]
    read: tuple[int, ...]

    def readout(self, device: torch.device) -> Tensor:
        """Where relevance starts: an equal share on each token the head reads: n, float32."""
        row = torch.zeros(self.count, device=device)
        row[list(self.read)] = 1 / len(self.read)
        return row


def find_tokens(method: str, module: nn.Module, pixels: Tensor, maps: list[Tensor]) -> Tokens:
    """The tokens behind recorded attention maps (b n n each), by what the network has and was given.

    Raises:
        UndefinedMethodError: the maps are not those of global self-attention whose CLS token the head reads.
    """
    if not maps:
        raise _undefined(method, module, "it has no self-attention that can be recorded")
    shapes = {tuple(layer.shape) for layer in maps}
    batch, count = maps[0].shape[:2]
    if shapes != {(pixels.shape[0], count, count)} or batch != pixels.shape[0]:
        raise _undefined(method, module, "its attention stays within windows or changes its resolution")
    patch = _patch_size(module, pixels.shape[1])
    if patch is None:
        raise _undefined(method, module, "it has no patch embedding")
    grid = pixels.shape[2] // patch[0], pixels.shape[3] // patch[1]
    prefix = count - grid[0] * grid[1]
    read = _read_tokens(module)
    if read is None or prefix <= max(read):
        raise _undefined(method, module, "its head does not read a CLS token")
    return Tokens(count, prefix, grid, read)


def _patch_size(module: nn.Module, channels: int) -> tuple[int, int] | None:
    for part in module.modules():
        if isinstance(part, nn.Conv2d) and part.in_channels == channels and part.kernel_size == part.stride:
            return part.kernel_size[0], part.kernel_size[1]
    return None


def _read_tokens(module: nn.Module) -> tuple[int, ...] | None:
    config: Any = getattr(module, "config", None)
    if type(module).__name__ in _READ_FIRST_TWO:
        return (0, 1)
    return (0,) if getattr(config, "model_type", None) in _READ_FIRST else None


def _undefined(method: str, module: nn.Module, reason: str) -> UndefinedMethodError:
    return UndefinedMethodError(
        f"{method} is not defined for {type(module).__name__}: {reason}; use an explainer by gradients, such as"
        " grad-cam, or a vision transformer with a CLS token (ViT, DeiT, DINOv2)"
    )
