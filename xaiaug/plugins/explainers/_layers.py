"""Finds the layer of a network that holds the last map of the image, and taps its output."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count, takewhile
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from ...errors import ConfigError, UndefinedMethodError, suggest
from .._logits import compute_logits
from ._attention import Recording, record_attention
from ._gradients import find_node, reaches
from ._hooks import attach_hooks
from ._layouts import Answers, Layout, confirm_layout, infer_layout, join_answers, measure_answers, spread_blocks

_AT_ONCE = 4  # planted images in one forward pass
_COARSER = 4  # cells of the layer for one of the coarsest map
_Watch = Callable[[str, int, nn.Module, object, Tensor], None]


@dataclass(frozen=True)
class Layer:
    """A layer by its name in the network, and which of its calls in a pass hold the map.

    Attributes:
        name: dotted name.
        calls: the number of each call in a pass, from 0, and the layout of its output; maps of several calls add up.
    """

    name: str
    calls: Mapping[int, Layout]


@dataclass
class Tap:
    """The maps of the tapped calls in a forward pass: b c h w, float32, leaves of the graph."""

    maps: list[Tensor] = field(default_factory=list)


@contextmanager
def insert_tap(module: nn.Module, layer: Layer) -> Iterator[Tap]:
    """Cuts the graph of one forward pass at the layer's calls inside the block; leaves the network as it was.

    What comes before is detached, and what comes after has gradients even where the forward pass began without: so
    nothing is kept for the layers before. Forward passes of other threads meanwhile are not touched.
    """
    thread, tap, calls = threading.get_ident(), Tap(), count()

    def pass_through(_: nn.Module, __: object, output: Any) -> Any:
        layout = layer.calls.get(next(calls)) if threading.get_ident() == thread else None
        if layout is None:
            return None
        torch.set_grad_enabled(True)
        before = _first_of(output).detach()
        leaf = layout.to_map(before).float().detach().requires_grad_()
        tap.maps.append(leaf)
        tapped = layout.to_output(leaf.to(before.dtype), before)
        return (tapped, *output[1:]) if isinstance(output, tuple) else tapped

    with attach_hooks([module.get_submodule(layer.name)], pass_through):
        yield tap


def find_layer(method: str, module: nn.Module, pixels: Tensor, name: str | None = None) -> Layer:
    """The layer to explain at: found by what the layers return for one image, or the one of that name.

    A network with global self-attention is explained at the first norm of its last block: behind that block the tokens
    of the patches no longer reach a CLS token. Any other at the last map that all of the image passes through on its
    way to the logits. Where a layer is called several times in a pass, its last call counts if all passes through that
    one, else all of its calls add up.

    Args:
        method: name of the explainer, for messages.
        module: returns logits; left as it was.
        pixels: n c h w, n ≥ 1; the first is used.
        name: dotted name of a layer; None to find it.

    Raises:
        ConfigError: there is no layer of that name, it holds no map, or it cannot be found without a name.
        UndefinedMethodError: no layer holds a map of the image, cells of the layer do not lie in rows and columns on
            the image, or parts of the image reach the logits on other ways.
    """
    probe = _probe_calls(module, pixels)
    if not probe.spatial:
        raise UndefinedMethodError(
            f"{method} is not defined for {type(module).__name__}: no layer that its logits depend on holds a map of"
            " the image (b c h w or b n c, with two cells or more in each direction); use integrated-gradients, random"
            " or uniform"
        )
    placed = _confirm_layouts(module, pixels, probe)
    calls = (
        _choose(method, module, probe, placed) if name is None else _find_by_name(method, module, name, probe, placed)
    )
    layouts = {call.number: call.layout for call in calls if call.layout}
    if len({(layout.kind, layout.grid) for layout in layouts.values()}) > 1:
        raise UndefinedMethodError(
            f"{method}: {type(module).__name__} calls its layer {calls[0].name!r} at several resolutions in one pass,"
            " and their maps do not add up; name another layer, or use integrated-gradients"
        )
    return Layer(calls[0].name, layouts)


def _first_of(output: Any) -> Any:
    """What a layer returns, or the first of several things that it returns."""
    return output[0] if type(output) is tuple and output else output


@dataclass(frozen=True)
class _Call:
    """One call of a layer in the probe.

    Attributes:
        name: of the layer.
        number: of the call in the pass, from 0.
        part: the layer.
        shape: of what it returned, or of the first thing of several.
        layout: the likely one; None where it cannot be a map.
        attentions: how many attention maps there were before it.
        node: of the graph, that made its output.
        read: the node that made what it read.
        convolved: whether it is as large as the output of an earlier convolution.
        is_read: whether the logits depend on its cells, not only on tokens before them, such as a CLS token.
        confirmed: whether planted noise confirmed the layout.
    """

    name: str
    number: int
    part: nn.Module
    shape: torch.Size
    layout: Layout | None
    attentions: int
    node: Node | None
    read: Node | None
    convolved: bool
    is_read: bool = False
    confirmed: bool = False

    @property
    def cells(self) -> int:
        """How many cells it has; 0 without a layout."""
        return self.layout.grid[0] * self.layout.grid[1] if self.layout else 0

    @property
    def is_norm(self) -> bool:
        # LayerNorm, RMSNorm and the families' own.
        return type(self.part).__name__.endswith("Norm")


@dataclass(frozen=True)
class _Probe:
    """A forward pass with the graph of its logits.

    Attributes:
        logits: 2 k.
        pixels: the node of the pixels.
        attention: shapes of its maps, in order.
        reaching: calls with a layout whose output the logits depend on, in order.
    """

    logits: Tensor
    pixels: Node
    attention: Sequence[torch.Size]
    reaching: Sequence[_Call]

    @property
    def spatial(self) -> list[_Call]:
        """The calls whose cells the logits depend on."""
        return [call for call in self.reaching if call.is_read]

    def passes_only(self, nodes: Sequence[Node | None]) -> bool:
        """Whether everything of the image passes through one of these nodes on its way to the logits."""
        return None not in nodes and not reaches(
            self.logits.grad_fn, self.pixels, [node for node in nodes if node is not None]
        )


def _probe_calls(module: nn.Module, pixels: Tensor) -> _Probe:
    pair = pixels[:1].detach().repeat(2, 1, 1, 1).requires_grad_()  # two images: a table of positions has a batch of 1
    with torch.enable_grad(), record_attention(module) as recording, _record_calls(module, recording, pair) as calls:
        logits = compute_logits(module, pair)
    reaching = _find_reaching(logits, calls)
    return _Probe(logits, find_node(pair), [each.shape for each in recording.maps], reaching)


@contextmanager
def _record_calls(module: nn.Module, recording: Recording, pixels: Tensor) -> Iterator[list[tuple[_Call, Tensor]]]:
    """The calls of all layers below the network in this thread, with their outputs, in the order of their returns."""
    calls: list[tuple[_Call, Tensor]] = []
    convolved: list[tuple[int, int]] = []

    def record(name: str, number: int, part: nn.Module, inputs: object, output: Tensor) -> None:
        if output.shape[:1] != pixels.shape[:1]:
            return
        if isinstance(part, nn.Conv2d):
            convolved.append((output.shape[2], output.shape[3]))
        layout = infer_layout(output.shape, pixels.shape, convolved)
        read = inputs[0] if isinstance(inputs, tuple) and inputs else None
        is_convolved = layout is not None and layout.grid in convolved
        nodes = _node_of(output), _node_of(read)
        call = _Call(name, number, part, output.shape, layout, len(recording.maps), *nodes, is_convolved)
        calls.append((call, output))

    with _watch_calls(module, record):
        yield calls


def _node_of(tensor: object) -> Node | None:
    return find_node(tensor) if isinstance(tensor, Tensor) and tensor.requires_grad else None


@contextmanager
def _watch_calls(module: nn.Module, watch: _Watch) -> Iterator[None]:
    """Calls `watch` with name, number, layer, inputs and output of every call that returns a tensor in this thread."""
    thread = threading.get_ident()
    names = {part: name for name, part in module.named_modules() if name}
    numbers = dict.fromkeys(names, 0)

    def after(part: nn.Module, inputs: object, output: object) -> None:
        if thread != threading.get_ident():
            return
        numbers[part] += 1
        first = _first_of(output)
        if isinstance(first, Tensor):
            watch(names[part], numbers[part] - 1, part, inputs, first)

    with attach_hooks(names, after):
        yield


def _confirm_layouts(module: nn.Module, pixels: Tensor, probe: _Probe) -> list[_Call]:
    """The calls with the layout that planted noise confirms, without tokens where it confirms none."""
    blocks = spread_blocks(pixels.shape[2], pixels.shape[3])
    images = blocks.plant(pixels[0].detach())
    wanted = {(call.name, call.number): call for call in probe.reaching}
    answers: dict[tuple[str, int], list[Answers]] = {key: [] for key in wanted}

    def keep(name: str, number: int, _: nn.Module, __: object, output: Tensor) -> None:
        call = wanted.get((name, number))
        if call and output.shape[1:] == call.shape[1:]:
            answers[name, number].append(measure_answers(output))

    with torch.no_grad():
        for copies in torch.split(images[1:], _AT_ONCE):
            with _watch_calls(module, keep):
                compute_logits(module, torch.cat([images[:1], copies]))
    placed = []
    for key, call in wanted.items():
        layout = (
            confirm_layout(call.layout, join_answers(answers[key]), blocks) if call.layout and answers[key] else None
        )
        if layout or (call.convolved and call.layout and call.layout.kind == "map"):
            # A deep map of convolutions may answer everywhere, but its cells lie where convolutions leave them.
            placed.append(replace(call, layout=layout or call.layout, confirmed=layout is not None))
    return placed


def _find_reaching(logits: Tensor, calls: Sequence[tuple[_Call, Tensor]]) -> list[_Call]:
    """The calls with a layout that the logits were computed from; the graph stays, without its values."""
    calls = [(call, output) for call, output in calls if output.requires_grad and call.layout]
    if not calls or not logits.requires_grad:
        return []
    # Weighted, since the logits of two classes may well be one number and its negative.
    total = (logits * torch.arange(1, logits.shape[1] + 1, device=logits.device)).sum()
    gradients = torch.autograd.grad(total, [output for _, output in calls], allow_unused=True)
    return [
        replace(call, is_read=_reads_cells(call.layout, gradient))
        for (call, _), gradient in zip(calls, gradients, strict=True)
        if call.layout and gradient is not None
    ]


def _reads_cells(layout: Layout, gradient: Tensor) -> bool:
    prefix, patches = gradient[:, : layout.prefix], layout.to_map(gradient)
    return bool(patches.any()) or not prefix.any()


def _choose(method: str, module: nn.Module, probe: _Probe, placed: Sequence[_Call]) -> list[_Call]:
    """The calls of the first norm of the last block of global self-attention, or else those of the last map.

    Raises:
        ConfigError: the tokens that count are unknown.
        UndefinedMethodError: no cells lie in rows and columns, or no layer is one that all of the image passes through.
    """
    candidates = _list_candidates(probe, placed)
    for candidate in candidates:
        calls = _find_last_calls(probe, placed, candidate.name)
        if calls and probe.passes_only([call.read if _is_global(probe.attention) else call.node for call in calls]):
            return calls
    if not placed:
        raise _unplaced_error(method, module, "no layer")
    if candidates:
        raise UndefinedMethodError(
            f"{method} is not defined for {type(module).__name__}: there is no layer that all of the image passes"
            " through on its way to the logits, as where several networks, or several passes of one, are joined;"
            " explain each by itself, give layer= to see the part of one layer, or use integrated-gradients"
        )
    # With a CLS token among them it depends on the kind of network which tokens are the last to count.
    raise ConfigError(
        f"{method}: cannot find the layer of {type(module).__name__} to explain at; give layer=, the dotted name of"
        f" one whose tokens still reach the logits, such as {_list_names(placed)}"
    )


def _list_candidates(probe: _Probe, placed: Sequence[_Call]) -> list[_Call]:
    """Calls that may hold the last map, the best first."""
    if _is_global(probe.attention):
        tokens, layers = probe.attention[-1][1], len(probe.attention)
        norms = [call for call in probe.reaching if call.is_norm and call.shape[1] == tokens]
        last = [(call.name, call.number) for call in norms if call.attentions < layers][-1:]
        return [call for call in placed if (call.name, call.number) in last]
    known = takewhile(lambda call: call.layout and not call.layout.prefix, reversed(placed))
    # Not back to the patches that a network starts from.
    most = _COARSER * min((call.cells for call in probe.spatial), default=0)
    return [call for call in known if call.cells <= most]


def _is_global(maps: Sequence[torch.Size]) -> bool:
    """Whether attention goes from every token to every token, in one resolution."""
    return bool(maps) and {tuple(shape) for shape in maps} == {(2, maps[0][1], maps[0][1])}


def _find_last_calls(probe: _Probe, placed: Sequence[_Call], name: str) -> list[_Call]:
    """The calls of a layer behind which it is not called again; none where the layout of one of them is unknown."""
    calls = [call for call in probe.reaching if call.name == name]
    if reaches(probe.logits.grad_fn, probe.pixels):
        calls = [call for call in calls if reaches(call.node, probe.pixels)]
    nodes = {call.number: call.node for call in calls if call.node}
    last = {
        number
        for number, node in nodes.items()
        if not any(reaches(call.node, node) for call in calls if call.number != number)
    }
    found = [call for call in placed if call.name == name and call.number in last]
    return found if len(found) == len(last) and (len(found) == 1 or all(call.confirmed for call in found)) else []


def _find_by_name(method: str, module: nn.Module, name: str, probe: _Probe, placed: Sequence[_Call]) -> list[_Call]:
    names, spatial = [known for known, _ in module.named_modules() if known], probe.spatial
    shown = [call for call in placed if call.is_read]
    if name not in names:
        raise ConfigError(f"{method}: {type(module).__name__} has no layer {name!r}. {_suggest(name, names, shown)}")
    if not any(call.name == name for call in spatial):
        raise ConfigError(
            f"{method}: the layer {name!r} of {type(module).__name__} holds no map of the image that the logits depend"
            f" on; give another, such as {_list_names(shown)}"
        )
    if calls := _find_last_calls(probe, placed, name):
        return calls
    raise _unplaced_error(method, module, f"not all calls of {name!r}")


def _unplaced_error(method: str, module: nn.Module, subject: str) -> UndefinedMethodError:
    return UndefinedMethodError(
        f"{method}: in {type(module).__name__}, {subject} returned cells in row-major order as far as the answers to"
        " noise in parts of the image show: tokens may be learned queries, lie in another order, or have others among"
        " them; use integrated-gradients, or give layer=, the name of a layer that returns b c h w"
    )


def _suggest(name: str, names: Sequence[str], calls: Sequence[_Call]) -> str:
    guess = suggest(name, names).partition(" Known:")[0]
    return f"{guess if guess.startswith('Did') else ''} Layers that hold a map: {_list_names(calls)}".strip()


def _list_names(calls: Sequence[_Call], most: int = 8) -> str:
    """The last norms, or else the last layers, the very last one first."""
    calls = [call for call in calls if call.is_read]
    calls = [call for call in calls if call.is_norm] or calls
    return ", ".join(list(dict.fromkeys(repr(call.name) for call in reversed(calls)))[:most]) or "none"
