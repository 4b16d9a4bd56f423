"""Probes a vision transformer: how its tokens lie on the image, and which of them its logits depend on."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node, saved_tensors_hooks

from .._logits import compute_logits
from ._attention import Observer, observe_attention
from ._gradients import find_node
from ._hooks import attach_hooks

_MOST_FLOATS = 2**27  # of attention in memory: half a gigabyte
_COPIES = 3  # of each map while a layer attends: scores, weights and their product


@dataclass(frozen=True)
class PatchGrid:
    """Patches in row-major order behind some other tokens.

    Attributes:
        prefix: tokens before those of the patches.
        shape: rows and columns.
        patch: height and width of a patch in pixels.
    """

    prefix: int
    shape: tuple[int, int]
    patch: tuple[int, int]

    def token_index(self, row: int, column: int) -> int:
        """The index of a patch's token."""
        return self.prefix + row * self.shape[1] + column


@dataclass
class TokenProbe(Observer):
    """What one forward pass shows of a network's tokens.

    Attributes:
        gradients: whether they are wanted from the tokens back to the pixels.
        shapes: of the attention maps of its layers, in order: b h q k.
        nodes: of the graph, that made these maps.
        pooled: how many tokens each pooling head attends to.
        hidden: whether attention was seen whose weights cannot be shown.
        tokens: b n c, before any of them attends; None where no layer returns them.
        starts: the nodes of all that layers read or returned before any attention and is as many tokens.
        kept_bytes: what the graph of a pass keeps of each image from the first attention on, for a backward pass.
    """

    gradients: bool = False
    shapes: list[torch.Size] = field(default_factory=list)
    nodes: list[Node | None] = field(default_factory=list)
    pooled: list[int] = field(default_factory=list)
    hidden: bool = False
    tokens: Tensor | None = None
    starts: list[Node] = field(default_factory=list)
    kept_bytes: int = 0
    _before: list[Tensor] = field(default_factory=list)
    _read: list[Tensor] = field(default_factory=list)

    def on_weights(self, weights: Tensor, pooling: bool) -> Tensor:
        """Records the layer, and at the first one the tokens before it."""
        if pooling:
            self.pooled.append(weights.shape[-1])
            return weights
        if not self.shapes:
            size = len(weights), weights.shape[2]
            self.tokens = next((output for output in self._before if output.shape[:2] == size), None)
            fitting = [each for each in (*self._before, *self._read) if each.shape[:2] == size and each.requires_grad]
            self.starts = [find_node(each) for each in fitting]
            self._before.clear()
            self._read.clear()
        self.shapes.append(weights.shape)
        self.nodes.append(find_node(weights) if weights.requires_grad else None)
        return weights

    def on_hidden(self) -> None:
        """Records that there is attention whose weights cannot be shown."""
        self.hidden = True

    def before_layer(self, inputs: tuple[object, ...]) -> None:
        """Enables gradients even where the network disables them for its backbone."""
        if self.gradients and not self.shapes:
            torch.set_grad_enabled(True)
            self._read += [each for each in inputs[:1] if isinstance(each, Tensor) and each.ndim == 3]

    def after_layer(self, output: object) -> None:
        """Records what a layer returned before any attention."""
        if not self.shapes and isinstance(output, Tensor) and output.ndim == 3:
            self._before.append(output)


@dataclass
class _NanProbe(TokenProbe):
    """Sets tokens to NaN after the last attention, so that whatever depends on them is NaN as well.

    Attributes:
        layer: number of the last layer with attention among all tokens.
        rows: the token to set, by image of the batch.
        silenced: the image whose pooling heads return NaN; None where there are none.
    """

    layer: int = 0
    rows: dict[int, int] = field(default_factory=dict)
    silenced: int | None = None

    def on_output(self, output: Tensor, pooling: bool) -> Tensor:
        if pooling and self.silenced is not None:
            output[self.silenced] = torch.nan
        elif not pooling and len(self.shapes) == self.layer:
            for image, token in self.rows.items():
                output[image, token] = torch.nan
        return output


def probe_tokens(module: nn.Module, pixels: Tensor) -> tuple[TokenProbe, Tensor]:
    """Probes with the graph back to the pixels (1 c h w); and the logits: 2 k.

    The graph is whole, but keeps no values from the first attention on: at a high resolution these take gigabytes.
    """
    probe = TokenProbe(gradients=True)
    images = 2  # a table of positions has a batch of one
    weights = {each.untyped_storage().data_ptr() for each in module.parameters()}

    def keep(tensor: Tensor) -> Tensor | None:
        if not probe.shapes:
            return tensor
        if tensor.untyped_storage().data_ptr() not in weights:  # those are there anyway
            probe.kept_bytes += tensor.nbytes // images
        return None

    with (
        torch.enable_grad(),
        saved_tensors_hooks(keep, lambda kept: kept),
        observe_attention(module, probe),
        _watch_layers(module, probe),
    ):
        logits = compute_logits(module, pixels.repeat(images, 1, 1, 1))
    return probe, logits


def find_receptive_field(tokens: Tensor, index: int, pixels: Tensor) -> tuple[int, int, int, int] | None:
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


def encode_patches(pixels: Tensor, grid: PatchGrid) -> Tensor:
    """The first image, and for each binary digit a copy with noise in the patches (from 1) whose number has it."""
    (rows, columns), (height, width) = grid.shape, grid.patch
    numbers = torch.arange(1, rows * columns + 1, device=pixels.device).view(rows, columns)
    digits = torch.stack([numbers >> digit & 1 for digit in range((rows * columns).bit_length())])
    marked = digits.repeat_interleave(height, 1).repeat_interleave(width, 2)[:, None]
    noise = torch.randn(pixels.shape[1:], generator=torch.Generator().manual_seed(1)).to(pixels)
    images = pixels[:1].repeat(1 + len(digits), 1, 1, 1)
    images[1:, :, : marked.shape[2], : marked.shape[3]] += marked * noise[:, : marked.shape[2], : marked.shape[3]]
    return images


def decode_patches(tokens: Tensor) -> list[int]:
    """For each token of encoded images the number of the patch that changed it, from 1; 0 where none did."""
    difference = (tokens[1:] - tokens[0]).float().abs().amax(-1)
    lit = difference > 1e-3 * difference.amax(1, keepdim=True)  # beyond rounding
    digits = torch.arange(len(lit), device=lit.device)[:, None]
    numbers: list[int] = (lit.long() << digits).sum(0).tolist()
    return numbers


def probe_readout(
    module: nn.Module, encoded: Tensor, pixels: Tensor, probe: TokenProbe, tokens: Sequence[int]
) -> tuple[Tensor | None, list[bool], bool]:
    """Probes with encoded patches and with NaN tokens, in one forward pass.

    Args:
        module: the network.
        encoded: images from `encode_patches`: m c h w.
        pixels: n c h w; the first is used with NaN tokens.
        probe: from `probe_tokens`.
        tokens: which of them to set to NaN, one per image.

    Returns:
        The tokens of the encoded images before they attend; for each of `tokens` whether the logits depend on it; and
        whether they depend on a pooling head.
    """
    start, heads = len(encoded), bool(probe.pooled)
    batch = torch.cat([encoded, pixels[:1].repeat(len(tokens) + heads, 1, 1, 1)])
    rows = {start + image: token for image, token in enumerate(tokens)}
    silenced = start + len(tokens) if heads else None
    before: list[Tensor] = []
    nan: list[bool] = []
    for first, part in _split(batch, count_at_once(*probe.shapes[0][1:3])):
        nan_probe = _NanProbe(
            layer=len(probe.shapes),
            rows={image - first: token for image, token in rows.items() if 0 <= image - first < len(part)},
            silenced=silenced - first if silenced is not None and 0 <= silenced - first < len(part) else None,
        )
        with torch.no_grad(), observe_attention(module, nan_probe), _watch_layers(module, nan_probe):
            nan += compute_logits(module, part).isnan().any(1).tolist()
        before += [] if nan_probe.tokens is None else [nan_probe.tokens]
    nan = nan[start:]
    known = torch.cat(before)[:start] if before else None
    return known, nan[: len(tokens)], bool(heads and nan[-1])


def _split(batch: Tensor, at_once: int) -> Iterator[tuple[int, Tensor]]:
    """Parts of a batch, of at least two images each where it has them, and the number of the first image of each."""
    first = 0
    for part in batch.tensor_split(max(1, len(batch) // max(2, at_once))):
        yield first, part
        first += len(part)


def count_at_once(heads: int, tokens: int, layers: int = 1) -> int:
    """How many images may attend in one forward pass, if the maps of so many layers are in memory."""
    return max(1, _MOST_FLOATS // (_COPIES * layers * heads * tokens**2))


@contextmanager
def _watch_layers(module: nn.Module, probe: TokenProbe) -> Iterator[None]:
    """Calls the probe before and after each layer that is called in this thread."""
    thread = threading.get_ident()

    def before(_: nn.Module, inputs: tuple[object, ...]) -> None:
        if threading.get_ident() == thread:
            probe.before_layer(inputs)

    def after(_: nn.Module, __: object, output: object) -> None:
        if threading.get_ident() == thread:
            probe.after_layer(output)

    with attach_hooks(module.modules(), after, before):
        yield
