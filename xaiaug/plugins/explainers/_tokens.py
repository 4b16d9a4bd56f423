"""The description of a vision transformer's tokens: prefix, grid and readout, found and checked at first use."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ...errors import UndefinedMethodError
from ._token_probe import Lattice, Look, cell, look, planted, planted_in, reading

# Looking costs two forward passes: kept for each network and size of image, as long as the network lives.
_known: WeakKeyDictionary[nn.Module, dict[tuple[int, ...], Tokens]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Tokens:
    """How a network's tokens lie on its images, and which of them its answer reads.

    Attributes:
        count: all tokens.
        prefix: tokens before those of the patches: CLS, distillation, registers.
        grid: rows and columns of patches.
        share: share of the pixels' height and width that the patches cover; what is left over is not seen.
        read: prefix tokens that the answer reads.
        readout: "cls" where it reads some of these (and maybe patches beside), "pooling" where it reads a pooling
            head's token, "mean" where it reads the patches alone; "" where it reads none of them.
        pools: whether there is a pooling head, read or not.
    """

    count: int
    prefix: int
    grid: tuple[int, int]
    share: tuple[float, float]
    read: tuple[int, ...]
    readout: str
    pools: bool

    def seen(self, boxes: Tensor) -> Tensor:
        """The part of the boxes (n 4: x0 y0 x1 y1) that the patches cover."""
        down, across = self.share
        x0, y0, x1, y1 = boxes.unbind(1)
        return torch.stack([x0, y0, x0 + (x1 - x0) * across, y0 + (y1 - y0) * down], 1)


def readout_row(method: str, module: nn.Module, tokens: Tokens, wish: str, device: torch.device) -> Tensor | None:
    """An equal share on each token whose row is read: n, float32; None where that is the row of a pooling head.

    Raises:
        UndefinedMethodError: the network has no such row.
    """
    if wish == "cls" and not tokens.prefix:
        raise _no_row(method, module, tokens, wish, "no CLS token")
    if wish == "pooling" and not tokens.pools:
        raise _no_row(method, module, tokens, wish, "no head that pools by attention")
    readout = tokens.readout if wish == "auto" else wish
    if not readout:
        raise undefined(method, module, "its answer reads none of its tokens after the last attention")
    if readout == "pooling":
        return None
    patches = tuple(range(tokens.prefix, tokens.count))
    read = patches if readout == "mean" else tokens.read if wish == "auto" else (0,)
    row = torch.zeros(tokens.count, device=device)
    row[list(read)] = 1 / len(read)
    return row


def _no_row(method: str, module: nn.Module, tokens: Tokens, wish: str, lacks: str) -> UndefinedMethodError:
    return UndefinedMethodError(
        f'{method}: readout = "{wish}" is not defined for {type(module).__name__}: it has {lacks}; use readout ='
        f' "auto", which is "{tokens.readout}" there'
    )


def find_tokens(method: str, module: nn.Module, pixels: Tensor) -> Tokens:
    """The description of the network for images of that size, found and checked at first use.

    The grid is that of the pixels each token is computed from; patches planted in a cell have to change that cell's
    token and no other; and what is unknown after the last attention tells which tokens the answer reads.

    Args:
        method: name of the method that asks, for messages.
        module: returns logits; left as it was.
        pixels: n c h w, n ≥ 1; the first is looked at.

    Raises:
        UndefinedMethodError: it has no global self-attention that can be recorded, or no grid of patches.
    """
    known = _known.setdefault(module, {})
    size = tuple(pixels.shape[1:])
    if size not in known:
        with torch.inference_mode(mode=False):
            known[size] = _described(method, module, pixels.detach()[:1].clone().requires_grad_())
    return known[size]


def undefined(method: str, module: nn.Module, reason: str) -> UndefinedMethodError:
    """The error for a network that the method is not defined for."""
    return UndefinedMethodError(
        f"{method} is not defined for {type(module).__name__}: {reason}; use an explainer by gradients, such as"
        " grad-cam or integrated-gradients, or a vision transformer with global attention (ViT, DeiT, DINOv2, DINOv3,"
        " BEiT, SigLIP, CLIP)"
    )


def _described(method: str, module: nn.Module, pixels: Tensor) -> Tokens:
    seen = look(module, pixels)
    lattice = _lattice(method, module, seen, pixels)
    (rows, columns), (height, width) = lattice.grid, lattice.patch
    asked = [*range(lattice.prefix), lattice.token(rows // 2, columns // 2)]
    tokens, read, pooled = reading(module, planted(pixels, lattice), pixels, seen, asked)
    _check_order(method, module, lattice, tokens)
    return Tokens(
        count=lattice.prefix + rows * columns,
        prefix=lattice.prefix,
        grid=lattice.grid,
        share=(rows * height / pixels.shape[2], columns * width / pixels.shape[3]),
        read=tuple(index for index in range(lattice.prefix) if read[index]),
        readout="pooling" if pooled else "cls" if any(read[:-1]) else "mean" if read[-1] else "",
        pools=bool(seen.heads),
    )


def _lattice(method: str, module: nn.Module, seen: Look, pixels: Tensor) -> Lattice:
    """The lattice of the patches, from the pixels that the last token is computed from."""
    if not seen.shapes:
        raise undefined(method, module, "it has no self-attention that can be recorded")
    count = seen.shapes[0][-1]
    if any(shape[0] != 2 or shape[-2:] != (count, count) for shape in seen.shapes):
        raise undefined(method, module, "its attention stays within windows or changes its resolution")
    last = None if seen.tokens is None else cell(seen.tokens, -1, pixels)
    if last is None or seen.tokens is None:
        raise undefined(method, module, "its last token is not computed from pixels of the image")
    y0, x0, y1, x1 = last
    patch = y1 - y0, x1 - x0
    grid = y1 // patch[0], x1 // patch[1]
    prefix = count - grid[0] * grid[1]
    covers = pixels.shape[2] - y1 < patch[0] and pixels.shape[3] - x1 < patch[1]
    if prefix < 0 or not covers or cell(seen.tokens, prefix, pixels) != (0, 0, *patch):
        raise undefined(method, module, "its tokens do not lie on a grid of patches")
    return Lattice(prefix, grid, patch)


def _check_order(method: str, module: nn.Module, lattice: Lattice, tokens: Tensor | None) -> None:
    """Looks whether patches planted in a cell change the token of that cell, and no other."""
    count = lattice.grid[0] * lattice.grid[1]
    expected = [0] * lattice.prefix + list(range(1, count + 1))
    found = expected[:0] if tokens is None else planted_in(tokens)
    if found != expected:
        raise undefined(
            method,
            module,
            f"its tokens do not lie row by row behind {lattice.prefix} others: patches planted in the cells 1 to"
            f" {count} changed its tokens in the order {found}",
        )
