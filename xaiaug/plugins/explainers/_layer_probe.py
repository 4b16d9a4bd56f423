"""Probes what every layer of a network returns for one image, and which of that lies on the image as a map."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from .._logits import compute_logits
from ._attention import Recording, record_attention
from ._gradients import detach_caches, find_node, reaches
from ._hooks import attach_hooks
from ._layouts import Answers, Layout, confirm_layout, infer_layout, join_answers, measure_answers, spread_blocks

_AT_ONCE = 4  # planted images in one forward pass
_SOFT = 0.1  # of the weights in a copy whose layers mix little
_Watch = Callable[[str, int, nn.Module, object, Tensor], None]


@dataclass(frozen=True)
class Call:
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
    def key(self) -> tuple[str, int]:
        """Name of the layer and number of the call."""
        return self.name, self.number

    @property
    def follows_map(self) -> bool:
        """Whether it is a map of convolutions: a deep one may answer everywhere, but its cells keep their places."""
        return self.convolved and self.layout is not None and self.layout.kind == "map"

    @property
    def cells(self) -> int:
        """How many cells it has; 0 without a layout."""
        return self.layout.grid[0] * self.layout.grid[1] if self.layout else 0

    @property
    def is_norm(self) -> bool:
        """Whether the layer is a norm."""
        # LayerNorm, RMSNorm and the families' own.
        return type(self.part).__name__.endswith("Norm")


@dataclass(frozen=True)
class LayerProbe:
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
    reaching: Sequence[Call]

    @property
    def spatial(self) -> list[Call]:
        """The calls whose cells the logits depend on."""
        return [call for call in self.reaching if call.is_read]

    def passes_only(self, nodes: Sequence[Node | None]) -> bool:
        """Whether everything of the image passes through one of these nodes on its way to the logits."""
        return None not in nodes and not reaches(
            self.logits.grad_fn, self.pixels, [node for node in nodes if node is not None]
        )


def probe_layers(module: nn.Module, pixels: Tensor) -> LayerProbe:
    """What the layers of a network return for the first image (n c h w), with the graph of its logits."""
    pair = pixels[:1].detach().repeat(2, 1, 1, 1).requires_grad_()  # two images: a table of positions has a batch of 1
    with torch.enable_grad(), record_attention(module) as recording, _record_calls(module, recording, pair) as calls:
        logits = compute_logits(module, pair)
    reaching = _find_reaching(logits, calls)
    return LayerProbe(logits, find_node(pair), [each.shape for each in recording.maps], reaching)


@contextmanager
def _record_calls(module: nn.Module, recording: Recording, pixels: Tensor) -> Iterator[list[tuple[Call, Tensor]]]:
    """The calls of all layers below the network in this thread, with their outputs, in the order of their returns."""
    calls: list[tuple[Call, Tensor]] = []
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
        call = Call(name, number, part, output.shape, layout, len(recording.maps), *nodes, is_convolved)
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
        first = first_of(output)
        if isinstance(first, Tensor):
            watch(names[part], numbers[part] - 1, part, inputs, first)

    with attach_hooks(names, after):
        yield


def confirm_layouts(module: nn.Module, pixels: Tensor, probe: LayerProbe) -> list[Call]:
    """The calls with the layout that planted noise confirms, without tokens where it confirms none."""
    layouts = _try_layouts(module, pixels, probe.reaching)
    if any(call.key not in layouts and not call.follows_map for call in probe.reaching):
        # Where layers mix strongly, a cell answers all of the image. Its place does not depend on the weights.
        soft = _soften(module)
        layouts = {**(_try_layouts(soft, pixels, probe.reaching) if soft else {}), **layouts}
    return [
        replace(call, layout=layouts.get(call.key, call.layout), confirmed=call.key in layouts)
        for call in probe.reaching
        if call.key in layouts or call.follows_map
    ]


def _soften(module: nn.Module) -> nn.Module | None:
    """A copy whose branches add little to what they are added to, and whose attention is nearly uniform.

    None for a network that cannot be copied: what its own weights do not show then stays unknown.
    """
    detach_caches(module)
    try:
        soft = copy.deepcopy(module)
    except Exception:  # noqa: BLE001  any object that a network holds may refuse to be copied, in its own way
        return None
    for parameter in soft.parameters():
        if parameter.ndim > 1 and parameter.is_floating_point():
            parameter.data.mul_(_SOFT)
    return soft


def _try_layouts(module: nn.Module, pixels: Tensor, calls: Sequence[Call]) -> dict[tuple[str, int], Layout]:
    """The layouts that planted noise confirms, by name and number of the call."""
    blocks = spread_blocks(pixels.shape[2], pixels.shape[3])
    images = blocks.plant(pixels[0].detach())
    wanted = {call.key: call for call in calls}
    answers: dict[tuple[str, int], list[Answers]] = {key: [] for key in wanted}

    def keep(name: str, number: int, _: nn.Module, __: object, output: Tensor) -> None:
        call = wanted.get((name, number))
        if call and output.shape[1:] == call.shape[1:]:
            answers[name, number].append(measure_answers(output))

    with torch.no_grad():
        for copies in torch.split(images[1:], _AT_ONCE):
            with _watch_calls(module, keep):
                compute_logits(module, torch.cat([images[:1], copies]))
    found: dict[tuple[str, int], Layout] = {}
    convolved: dict[tuple[int, int], Tensor] = {}
    for call in calls:
        if call.layout is None or not answers[call.key]:
            continue
        joined, grid = join_answers(answers[call.key]), call.layout.grid
        if call.follows_map:
            convolved[grid] = joined["map"][:, 0]
        layout = confirm_layout(call.layout, joined, blocks, None if call.follows_map else convolved.get(grid))
        found |= {call.key: layout} if layout else {}
    return found


def _find_reaching(logits: Tensor, calls: Sequence[tuple[Call, Tensor]]) -> list[Call]:
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


def first_of(output: Any) -> Any:
    """What a layer returns, or the first of several things that it returns."""
    return output[0] if type(output) is tuple and output else output
