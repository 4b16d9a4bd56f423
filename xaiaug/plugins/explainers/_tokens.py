"""Describes a vision transformer's tokens: prefix, grid and readout, found and checked at first use."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.graph import Node

from ...errors import UndefinedMethodError
from .._logits import compute_logits
from ._gradients import find_node, reaches
from ._token_probe import (
    PatchGrid,
    TokenProbe,
    count_at_once,
    decode_patches,
    encode_patches,
    find_receptive_field,
    probe_readout,
    probe_tokens,
)

_CPU_BYTES, _GPU_BYTES = 3 * 2**26, 2**31
# Probing costs three forward passes: kept for each network and size of image, as long as the network lives.
_known: WeakKeyDictionary[nn.Module, dict[tuple[int, ...], Tokens]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Tokens:
    """How a network's tokens lie on its images, and which of them its head reads.

    Attributes:
        count: all tokens.
        prefix: tokens before those of the patches: CLS, distillation, registers.
        grid: rows and columns of patches.
        share: share of the pixels' height and width that the patches cover; the rest is not seen.
        read: prefix tokens that the head reads.
        readout: "cls" where it reads some of these (and maybe patches too), "pooling" where it reads a pooling
            head's token, "mean" where it reads the patches alone; "" where it reads none of them.
        pools: whether there is a pooling head that attends to all of them, read or not, and no other.
        heads: of the first layer.
        layers: how many attend.
        kept_bytes: what a pass keeps of each image for a backward pass to its attention.
    """

    count: int
    prefix: int
    grid: tuple[int, int]
    share: tuple[float, float]
    read: tuple[int, ...]
    readout: str
    pools: bool
    heads: int
    layers: int
    kept_bytes: int

    def count_at_once(self, module: nn.Module, pixels: Tensor, backward: bool) -> int:
        """How many images to explain in one pass, that is followed by a backward pass or not."""
        if backward:
            return max(1, _most_bytes(module, pixels.device) // max(1, self.kept_bytes))
        # Maps are kept as their mean over heads.
        return count_at_once(self.heads, self.count, 1 + self.layers // self.heads)

    def to_grids(self, rows: Tensor) -> NDArray[np.float32]:
        """The part of each row that lies on the patches: b n -> b gh gw."""
        grids: NDArray[np.float32] = rows[:, self.prefix :].reshape(-1, *self.grid).float().cpu().numpy()
        return grids

    def crop_boxes(self, boxes: Tensor) -> Tensor:
        """The part of the boxes (n 4: x0 y0 x1 y1) that the patches cover."""
        down, across = self.share
        x0, y0, x1, y1 = boxes.unbind(1)
        return torch.stack([x0, y0, x0 + (x1 - x0) * across, y0 + (y1 - y0) * down], 1)


def _most_bytes(module: nn.Module, device: torch.device) -> int:
    """What a pass may keep for its backward pass.

    On a CPU a few images take as long each as many: they get about as much memory as the weights have.
    """
    return max(_CPU_BYTES, sum(each.nbytes for each in module.parameters())) if device.type == "cpu" else _GPU_BYTES


def find_tokens(method: str, module: nn.Module, pixels: Tensor) -> Tokens:
    """The description of the network's tokens for images of that size, found and checked at first use.

    The grid follows from the pixels that each token is computed from; a change in a patch has to change that patch's
    token and no other; and NaN after the last attention shows which tokens the logits depend on.

    Args:
        method: name of the explainer, for messages.
        module: returns logits; left as it was.
        pixels: n c h w, n ≥ 1; the first is used.

    Raises:
        UndefinedMethodError: it has no global self-attention that can be recorded, or no grid of patches.
    """
    known = _known.setdefault(module, {})
    size = tuple(pixels.shape[1:])
    if size not in known:
        with torch.inference_mode(mode=False):
            known[size] = _describe(method, module, pixels.detach()[:1].clone().requires_grad_())
    return known[size]


def find_readout_row(
    method: str, module: nn.Module, tokens: Tokens, readout: str, device: torch.device
) -> Tensor | None:
    """An equal share on each token whose row is read: n, float32; None where that is the row of a pooling head.

    Raises:
        UndefinedMethodError: the network has no such row.
    """
    if readout == "cls" and not tokens.prefix:
        raise _missing_row_error(method, module, tokens, readout, "no CLS token")
    chosen = tokens.readout if readout == "auto" else readout
    if readout == "pooling" and not tokens.pools:
        raise _missing_row_error(method, module, tokens, readout, "no head that pools by attention over all its tokens")
    if chosen == "pooling" and not tokens.pools:
        raise undefined_error(
            method, module, f"it pools by attention, but not in one head over all of its {tokens.count} tokens"
        )
    if not chosen:
        raise undefined_error(method, module, "its head reads none of its tokens after the last attention")
    if chosen == "pooling":
        return None
    patches = tuple(range(tokens.prefix, tokens.count))
    read = patches if chosen == "mean" else tokens.read if readout == "auto" else (0,)
    row = torch.zeros(tokens.count, device=device)
    row[list(read)] = 1 / len(read)
    return row


def _missing_row_error(
    method: str, module: nn.Module, tokens: Tokens, readout: str, missing: str
) -> UndefinedMethodError:
    return UndefinedMethodError(
        f'{method}: readout = "{readout}" is not defined for {type(module).__name__}: it has {missing}; use readout ='
        f' "auto", which is "{tokens.readout}" there'
    )


def undefined_error(method: str, module: nn.Module, reason: str) -> UndefinedMethodError:
    """The error for a network that the method is not defined for."""
    return UndefinedMethodError(
        f"{method} is not defined for {type(module).__name__}: {reason}; use a gradient-based explainer, such as"
        " grad-cam or integrated-gradients, or a vision transformer with global attention (ViT, DeiT, DINOv2, DINOv3,"
        " BEiT, SigLIP, CLIP)"
    )


def _describe(method: str, module: nn.Module, pixels: Tensor) -> Tokens:
    with torch.no_grad():
        expected = compute_logits(module, pixels.repeat(2, 1, 1, 1))
    probe, logits = probe_tokens(module, pixels)
    grid = _find_grid(method, module, probe, pixels)
    _check_chain(method, module, probe, logits, find_node(pixels))
    tolerance = torch.finfo(expected.dtype).eps ** 0.5 * float(expected.abs().max())
    if (logits.detach() - expected).abs().max() > tolerance:
        raise undefined_error(
            method, module, "with its attention recorded it gives other logits: it does more than softmax(QK)V"
        )
    (rows, columns), (height, width) = grid.shape, grid.patch
    probed = [*range(grid.prefix), grid.token_index(rows // 2, columns // 2)]
    tokens, read, pooled = probe_readout(module, encode_patches(pixels, grid), pixels, probe, probed)
    _check_order(method, module, grid, tokens)
    return Tokens(
        count=grid.prefix + rows * columns,
        prefix=grid.prefix,
        grid=grid.shape,
        share=(rows * height / pixels.shape[2], columns * width / pixels.shape[3]),
        read=tuple(index for index in range(grid.prefix) if read[index]),
        readout="pooling" if pooled else "cls" if any(read[:-1]) else "mean" if read[-1] else "",
        pools=probe.pooled == [grid.prefix + rows * columns],
        heads=probe.shapes[0][1],
        layers=len(probe.shapes),
        kept_bytes=probe.kept_bytes,
    )


def _check_chain(method: str, module: nn.Module, probe: TokenProbe, logits: Tensor, pixels: Node) -> None:
    """Checks that the layers form one chain, through which all of the image reaches the logits."""
    if probe.hidden:
        raise undefined_error(method, module, "some of its attention is torch's own, whose weights cannot be recorded")
    pairs = pairwise(probe.nodes)
    if any(before is None or not reaches(after, before) for before, after in pairs):
        raise undefined_error(
            method,
            module,
            "its layers with attention do not form one chain, as where several networks, or several passes of one, are"
            " joined; explain each by itself",
        )
    if all(reaches(logits.grad_fn, pixels, [start]) for start in probe.starts):
        raise undefined_error(
            method, module, "parts of the image reach its logits by other ways than the tokens of its first layer"
        )


def _find_grid(method: str, module: nn.Module, probe: TokenProbe, pixels: Tensor) -> PatchGrid:
    """The grid of the patches, from the pixels that the last token is computed from."""
    if not probe.shapes:
        raise undefined_error(method, module, "it has no self-attention that can be recorded")
    count = probe.shapes[0][-1]
    if any(shape[0] != 2 or shape[-2:] != (count, count) for shape in probe.shapes):
        raise undefined_error(method, module, "its attention stays within windows or changes its resolution")
    last = None if probe.tokens is None else find_receptive_field(probe.tokens, -1, pixels)
    if last is None or probe.tokens is None:
        raise undefined_error(method, module, "its last token is not computed from pixels of the image")
    y0, x0, y1, x1 = last
    patch = y1 - y0, x1 - x0
    shape = y1 // patch[0], x1 // patch[1]
    prefix = count - shape[0] * shape[1]
    covers = pixels.shape[2] - y1 < patch[0] and pixels.shape[3] - x1 < patch[1]
    if prefix < 0 or not covers or find_receptive_field(probe.tokens, prefix, pixels) != (0, 0, *patch):
        raise undefined_error(method, module, "its tokens do not lie on a grid of patches")
    return PatchGrid(prefix, shape, patch)


def _check_order(method: str, module: nn.Module, grid: PatchGrid, tokens: Tensor | None) -> None:
    """Checks that a change in a patch changes the token of that patch, and no other."""
    count = grid.shape[0] * grid.shape[1]
    expected = [0] * grid.prefix + list(range(1, count + 1))
    order = [] if tokens is None else decode_patches(tokens)
    if order != expected:
        raise undefined_error(
            method,
            module,
            f"its tokens are not in row-major order behind {grid.prefix} others: changing the patches 1 to {count}"
            f" changed its tokens in the order {order}",
        )
