"""Finds the layer of a network that holds the last map of the image, and taps its output."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ...errors import ConfigError, UndefinedMethodError, suggest
from .._logits import compute_logits
from ._attention import Recording, record_attention
from ._hooks import attach_hooks


@dataclass(frozen=True)
class Layout:
    """How to turn a layer's output into a map b c h w and back.

    Attributes:
        kind: "map" for b c h w, "channels-last" for b h w c, "tokens" for b n c.
        grid: rows and columns.
        prefix: tokens before those of the patches.
    """

    kind: str
    grid: tuple[int, int]
    prefix: int = 0

    def to_map(self, output: Tensor) -> Tensor:
        """The output as a map: b c h w, without the prefix."""
        if self.kind == "map":
            return output
        if self.kind == "channels-last":
            return output.permute(0, 3, 1, 2)
        return output[:, self.prefix :].transpose(1, 2).reshape(len(output), -1, *self.grid)

    def to_output(self, feature_map: Tensor, output: Tensor) -> Tensor:
        """The map in the shape of the layer's output, whose prefix is kept."""
        if self.kind == "map":
            return feature_map
        if self.kind == "channels-last":
            return feature_map.permute(0, 2, 3, 1)
        return torch.cat([output[:, : self.prefix], feature_map.flatten(2).transpose(1, 2)], 1)


@dataclass(frozen=True)
class Layer:
    """A layer by its name in the network, and the layout of its output."""

    name: str
    layout: Layout


@contextmanager
def insert_tap(module: nn.Module, layer: Layer, tap: nn.Module) -> Iterator[None]:
    """Passes the layer's output through `tap` as b c h w, float32, inside the block; leaves the network as it was.

    What comes before is detached, and what comes after has gradients even where the forward pass began without: so
    nothing is kept for the layers before. Forward passes of other threads meanwhile are not touched.
    """
    thread = threading.get_ident()

    def pass_through(_: nn.Module, __: object, output: Tensor) -> Tensor | None:
        if threading.get_ident() != thread:
            return None
        torch.set_grad_enabled(True)
        leaf = output.detach()
        feature_map: Tensor = tap(layer.layout.to_map(leaf).float())
        return layer.layout.to_output(feature_map.to(leaf.dtype), leaf)

    with attach_hooks([module.get_submodule(layer.name)], pass_through):
        yield


def find_layer(method: str, module: nn.Module, pixels: Tensor, name: str | None = None) -> Layer:
    """The layer to explain at: found by what the layers return for one image, or the one of that name.

    A network with global self-attention is explained at the first norm of its last block: behind that block the tokens
    of the patches no longer reach a CLS token. Any other at the last map that its logits depend on.

    Args:
        method: name of the explainer, for messages.
        module: returns logits; left as it was.
        pixels: n c h w, n ≥ 1; the first is used.
        name: dotted name of a layer; None to find it.

    Raises:
        ConfigError: there is no layer of that name, it holds no map, or it cannot be found without a name.
        UndefinedMethodError: no layer holds a map of the image.
    """
    pair = _change_corner(pixels)
    with torch.enable_grad(), record_attention(module) as recording, _record_calls(module, recording, pair) as calls:
        logits = compute_logits(module, pair)
    reaching = [call for call in _add_gradients(logits, calls) if call.layout]
    spatial = [call for call in reaching if call.is_read]
    if not spatial:
        raise UndefinedMethodError(
            f"{method} is not defined for {type(module).__name__}: no layer that its logits depend on holds a map of"
            " the image (b c h w or b n c, with two cells or more in each direction); use integrated-gradients, random"
            " or uniform"
        )
    call = _choose(recording.maps, reaching) if name is None else _find_by_name(method, module, name, spatial)
    if call is None or call.layout is None:
        raise ConfigError(
            f"{method}: cannot find the layer of {type(module).__name__} to explain at; give layer=, the dotted name of"
            f" one whose tokens still reach the logits, such as {_list_names(spatial)}"
        )
    _check_order(method, module, call, calls)
    return Layer(call.name, call.layout)


@dataclass(frozen=True)
class _Call:
    """One call of a layer in the probe: what it returned, and how many attention maps there were before it."""

    name: str
    part: nn.Module
    output: Tensor
    layout: Layout | None
    attentions: int
    gradient: Tensor | None = None

    @property
    def is_norm(self) -> bool:
        # LayerNorm, RMSNorm and the families' own.
        return type(self.part).__name__.endswith("Norm")

    @property
    def is_read(self) -> bool:
        """Whether the logits depend on its cells, not only on tokens before them, such as a CLS token."""
        if self.layout is None or self.gradient is None:
            return False
        prefix, patches = self.gradient[:, : self.layout.prefix], self.layout.to_map(self.gradient)
        return bool(patches.any()) or not prefix.any()


def _change_corner(pixels: Tensor) -> Tensor:
    """The first image, and the same with another pixel at the bottom of its left edge: 2 c h w."""
    with torch.no_grad():
        pair = pixels[:1].repeat(2, 1, 1, 1)
        pair[1, :, -1, 0] += 1
    return pair.requires_grad_()


@contextmanager
def _record_calls(module: nn.Module, recording: Recording, pixels: Tensor) -> Iterator[list[_Call]]:
    """The calls of all layers below the network in this thread, in the order in which they return."""
    calls: list[_Call] = []
    convolved: list[tuple[int, int]] = []
    thread = threading.get_ident()

    names = {part: name for name, part in module.named_modules() if name}

    def record(part: nn.Module, _: object, output: object) -> None:
        if thread != threading.get_ident() or not isinstance(output, Tensor) or output.shape[:1] != pixels.shape[:1]:
            return
        if isinstance(part, nn.Conv2d):
            convolved.append((output.shape[2], output.shape[3]))
        layout = infer_layout(output.shape, pixels.shape, convolved)
        calls.append(_Call(names[part], part, output, layout, len(recording.maps)))

    with attach_hooks(names, record):
        yield calls


def infer_layout(shape: torch.Size, pixels: torch.Size, convolved: Iterable[tuple[int, int]]) -> Layout | None:
    """The layout of an output of that shape; None where it does not have two cells in each direction.

    Args:
        shape: b c h w, b h w c or b n c; anything else has no layout.
        pixels: n c h w, the shape of the images.
        convolved: heights and widths of the maps of earlier convolutions.
    """
    height, width = pixels[-2:]
    if 0 in shape:
        return None
    if len(shape) == 4:
        first, last = _compare_aspect(shape[2:], height, width), _compare_aspect(shape[1:3], height, width)
        kind, grid = ("channels-last", shape[1:3]) if last < first else ("map", shape[2:])
        return Layout(kind, (grid[0], grid[1])) if min(grid) > 1 else None
    if len(shape) == 3 and min(shape[1:]) > 1:
        return _infer_token_layout(shape[1], list(convolved) or [(height, width)])
    return None


def _compare_aspect(grid: Iterable[int], height: int, width: int) -> float:
    """How far the aspect ratio of a grid is from that of the image, as a logarithm."""
    rows, columns = grid
    return abs(math.log(rows / columns * width / height))


def _infer_token_layout(count: int, sizes: Iterable[tuple[int, int]]) -> Layout | None:
    """The layout of `count` tokens as one of the maps, shrunk evenly, that leaves the fewest of them as prefix."""
    candidates = []
    for height, width in sizes:
        grids = ((math.ceil(height / step), math.ceil(width / step)) for step in range(1, max(height, width) + 1))
        rows, columns = next(grid for grid in grids if grid[0] * grid[1] <= count)
        candidates.append((count - rows * columns, rows, columns))
    prefix, rows, columns = min(candidates)
    return Layout("tokens", (rows, columns), prefix) if min(rows, columns) > 1 and prefix < rows * columns else None


def _add_gradients(logits: Tensor, calls: Sequence[_Call]) -> list[_Call]:
    """The calls that the logits were computed from, with the gradients of a sum over the classes."""
    calls = [call for call in calls if call.output.requires_grad]
    if not calls or not logits.requires_grad:
        return []
    # Weighted, since the logits of two classes may well be one number and its negative.
    total = (logits * torch.arange(1, logits.shape[1] + 1, device=logits.device)).sum()
    gradients = torch.autograd.grad(total, [call.output for call in calls], allow_unused=True)
    pairs = zip(calls, gradients, strict=True)
    return [replace(call, gradient=gradient) for call, gradient in pairs if gradient is not None]


def _choose(maps: Sequence[Tensor], reaching: Sequence[_Call]) -> _Call | None:
    """The first norm of the last block of global self-attention, or else the last map; None where that is unknown."""
    last = reaching[-1]
    if _is_global(maps):
        norms = [call for call in reaching if call.is_norm and call.output.shape[1] == maps[-1].shape[1]]
        return next((call for call in reversed(norms) if call.attentions < len(maps)), None)
    if last.layout and (last.layout.kind != "tokens" or (last.is_norm and not last.layout.prefix)):
        return last
    # With a CLS token among them it depends on the kind of network which tokens are the last to count.
    return None


def _is_global(maps: Sequence[Tensor]) -> bool:
    """Whether attention goes from every token to every token, in one resolution."""
    return bool(maps) and {tuple(layer.shape) for layer in maps} == {(2, maps[0].shape[1], maps[0].shape[1])}


def _find_by_name(method: str, module: nn.Module, name: str, spatial: Sequence[_Call]) -> _Call:
    names = [known for known, _ in module.named_modules() if known]
    if name not in names:
        raise ConfigError(f"{method}: {type(module).__name__} has no layer {name!r}. {_suggest(name, names, spatial)}")
    calls = [call for call in spatial if call.name == name]
    if not calls:
        raise ConfigError(
            f"{method}: the layer {name!r} of {type(module).__name__} holds no map of the image that the logits depend"
            f" on; give another, such as {_list_names(spatial)}"
        )
    return calls[-1]


def _suggest(name: str, names: Sequence[str], spatial: Sequence[_Call]) -> str:
    guess = suggest(name, names).partition(" Known:")[0]
    return f"{guess if guess.startswith('Did') else ''} Layers that hold a map: {_list_names(spatial)}".strip()


def _list_names(spatial: Sequence[_Call], most: int = 8) -> str:
    """The last norms, or else the last layers, the very last one first."""
    calls = [call for call in spatial if call.is_norm] or spatial
    return ", ".join(list(dict.fromkeys(repr(call.name) for call in reversed(calls)))[:most])


def _check_order(method: str, module: nn.Module, chosen: _Call, calls: Sequence[_Call]) -> None:
    """Checks that the changed pixel changes the token it should, where tokens of that number are still unmixed."""
    layout = chosen.layout
    if layout is None or layout.kind != "tokens":
        return
    first = next(call.output for call in calls if call.output.shape[:2] == chosen.output.shape[:2])
    changed = (first[0] != first[1]).any(-1).nonzero().flatten().tolist()
    expected = layout.prefix + (layout.grid[0] - 1) * layout.grid[1]
    if len(changed) == 1 and changed != [expected]:
        raise UndefinedMethodError(
            f"{method}: the tokens of {type(module).__name__} are not in row-major order behind {layout.prefix} others:"
            f" a change at the bottom left changed token {changed[0]}, not {expected}; use integrated-gradients, or"
            " name a layer that returns b c h w"
        )
