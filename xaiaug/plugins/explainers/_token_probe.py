"""How the tokens of a vision transformer lie on the image, and which of them its answer reads: asked of itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .._logits import logits
from ._attention import Observer, observed_attention
from ._hooks import hooked


@dataclass(frozen=True)
class Lattice:
    """Patches row by row behind some other tokens.

    Attributes:
        prefix: tokens before those of the patches.
        grid: rows and columns.
        patch: height and width of a patch in pixels.
    """

    prefix: int
    grid: tuple[int, int]
    patch: tuple[int, int]

    def token(self, row: int, column: int) -> int:
        """The token of a cell."""
        return self.prefix + row * self.grid[1] + column


@dataclass
class Look(Observer):
    """What one forward pass shows of a network's tokens.

    Attributes:
        gradients: whether they are wanted from the tokens back to the pixels.
        shapes: of the attention maps of its layers, in order: b h q k.
        heads: how many pooling heads it has.
        tokens: b n c, before any of them attends; None where no layer returns them.
    """

    gradients: bool = False
    shapes: list[torch.Size] = field(default_factory=list)
    heads: int = 0
    tokens: Tensor | None = None
    _before: list[Tensor] = field(default_factory=list)

    def weights(self, weights: Tensor, pooling: bool) -> Tensor:
        """Notes the layer, and at the first one what the tokens were."""
        if pooling:
            self.heads += 1
            return weights
        if not self.shapes:
            fitting = (output for output in self._before if output.shape[:2] == (len(weights), weights.shape[2]))
            self.tokens = next(fitting, None)
            self._before.clear()
        self.shapes.append(weights.shape)
        return weights

    def called(self) -> None:
        """Keeps gradients even where the network keeps its backbone from them."""
        if self.gradients and not self.shapes:
            torch.set_grad_enabled(True)

    def returned(self, output: object) -> None:
        """Notes what a layer returned before any attention."""
        if not self.shapes and isinstance(output, Tensor) and output.ndim == 3:
            self._before.append(output)


@dataclass
class _Poisoned(Look):
    """Makes tokens unknown (NaN) after the last attention, so that whatever rests on them is unknown as well.

    Attributes:
        layer: number of the last layer with attention among all tokens.
        rows: for an image of the batch, the token.
        pooled: the image whose pooling heads return nothing known; None where there are none.
    """

    layer: int = 0
    rows: dict[int, int] = field(default_factory=dict)
    pooled: int | None = None

    def output(self, output: Tensor, pooling: bool) -> Tensor:
        if pooling and self.pooled is not None:
            output[self.pooled] = torch.nan
        elif not pooling and len(self.shapes) == self.layer:
            for image, token in self.rows.items():
                output[image, token] = torch.nan
        return output


def look(module: nn.Module, pixels: Tensor) -> Look:
    """What a pass with gradients from the tokens back to the pixels (1 c h w) shows."""
    seen = Look(gradients=True)
    with torch.enable_grad(), observed_attention(module, seen), _watched(module, seen):
        logits(module, pixels.repeat(2, 1, 1, 1))  # two of them: a table of positions has one
    return seen


def cell(tokens: Tensor, index: int, pixels: Tensor) -> tuple[int, int, int, int] | None:
    """The part of the pixels that a token is computed from: y0 x0 y1 x1; None where there is none."""
    if not tokens.requires_grad:
        return None
    generator = torch.Generator().manual_seed(0)  # a plain sum would be constant behind a norm
    mixed = (tokens[0, index].float().cpu() * torch.randn(tokens.shape[2], generator=generator)).sum()
    (gradient,) = torch.autograd.grad(mixed, pixels, retain_graph=True, allow_unused=True)
    if gradient is None or not gradient.any():
        return None
    lit = gradient[0].abs().amax(0) > 0
    rows, columns = lit.any(1).nonzero().flatten().tolist(), lit.any(0).nonzero().flatten().tolist()
    return rows[0], columns[0], rows[-1] + 1, columns[-1] + 1


def planted(pixels: Tensor, lattice: Lattice) -> Tensor:
    """The first image, and for each binary digit a copy with other patches in the cells (from 1) that have it."""
    (rows, columns), (height, width) = lattice.grid, lattice.patch
    numbers = torch.arange(1, rows * columns + 1, device=pixels.device).view(rows, columns)
    digits = torch.stack([numbers >> place & 1 for place in range((rows * columns).bit_length())])
    marked = digits.repeat_interleave(height, 1).repeat_interleave(width, 2)[:, None]
    noise = torch.randn(pixels.shape[1:], generator=torch.Generator().manual_seed(1)).to(pixels)
    found = pixels[:1].repeat(1 + len(digits), 1, 1, 1)
    found[1:, :, : marked.shape[2], : marked.shape[3]] += marked * noise[:, : marked.shape[2], : marked.shape[3]]
    return found


def planted_in(tokens: Tensor) -> list[int]:
    """For each token the number of the cell whose patches changed it, from 1; 0 for a token that none changed."""
    difference = (tokens[1:] - tokens[0]).float().abs().amax(-1)
    lit = difference > 1e-3 * difference.amax(1, keepdim=True)  # beyond rounding
    places = torch.arange(len(lit), device=lit.device)[:, None]
    numbers: list[int] = (lit.long() << places).sum(0).tolist()
    return numbers


def reading(
    module: nn.Module, images: Tensor, pixels: Tensor, found: Look, tokens: Sequence[int]
) -> tuple[Tensor | None, list[bool], bool]:
    """What one pass with planted images and unknown tokens shows.

    Args:
        module: the network.
        images: with patches planted: m c h w.
        pixels: n c h w; the first is looked at with unknown tokens.
        found: what was seen before.
        tokens: which of them to make unknown, an image each.

    Returns:
        The tokens of the planted images before they attend; for each of `tokens` whether the answer rests on it; and
        whether it rests on a pooling head.
    """
    start = len(images)
    poisoned = _Poisoned(layer=len(found.shapes), rows={start + place: token for place, token in enumerate(tokens)})
    if found.heads:
        poisoned.pooled = start + len(tokens)
    batch = torch.cat([images, pixels[:1].repeat(len(tokens) + bool(found.heads), 1, 1, 1)])
    with torch.no_grad(), observed_attention(module, poisoned), _watched(module, poisoned):
        unknown = logits(module, batch)[start:].isnan().any(1).tolist()
    before = None if poisoned.tokens is None else poisoned.tokens[:start]
    return before, unknown[: len(tokens)], bool(found.heads and unknown[-1])


@contextmanager
def _watched(module: nn.Module, seen: Look) -> Iterator[None]:
    """Tells of layers that are called in this thread, and of what they return."""
    thread = threading.get_ident()

    def prepare(*_: object) -> None:
        if threading.get_ident() == thread:
            seen.called()

    def tell(_: nn.Module, __: object, output: object) -> None:
        if threading.get_ident() == thread:
            seen.returned(output)

    with hooked(module.modules(), tell, prepare):
        yield
