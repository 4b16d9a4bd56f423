"""Finds the layer of a network that holds the last map of the image, and taps its output."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import ConfigError, UndefinedMethodError, suggest
from ._gradients import reaches
from ._hooks import attach_hooks
from ._layer_probe import Call, LayerProbe, confirm_layouts, first_of, probe_layers
from ._layouts import Layout

_COARSER = 4  # cells of the layer for one of the coarsest map


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
        before = first_of(output).detach()
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
    way to the logits, and whose cells the logits depend on. Where a layer is called several times in a pass, its last
    call counts if all passes through that one, else all of its calls add up.

    Args:
        method: name of the explainer, for messages.
        module: returns logits; left as it was.
        pixels: n c h w, n ≥ 1; the first is used.
        name: dotted name of a layer; None to find it.

    Raises:
        ConfigError: there is no layer of that name, or it holds no map.
        UndefinedMethodError: no layer holds a map of the image, cells of the layer do not lie in rows and columns on
            the image, parts of the image reach the logits on other ways, or only layers far from the logits hold one.
    """
    probe = probe_layers(module, pixels)
    if not probe.spatial:
        raise UndefinedMethodError(
            f"{method} is not defined for {type(module).__name__}: no layer that its logits depend on holds a map of"
            " the image (b c h w or b n c, with two cells or more in each direction); use occlusion or rise, which ask"
            " for predictions alone, or integrated-gradients"
        )
    placed = confirm_layouts(module, pixels, probe)
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


def _choose(method: str, module: nn.Module, probe: LayerProbe, placed: Sequence[Call]) -> list[Call]:
    """The calls of the first norm of the last block of global self-attention, or else those of the last map.

    Raises:
        UndefinedMethodError: no cells lie in rows and columns, or no late layer is one that all of the image passes
            through.
    """
    candidates = _list_candidates(probe, placed)
    for candidate in candidates:
        calls = _find_last_calls(probe, placed, candidate.name)
        if calls and probe.passes_only([call.read if _is_global(probe.attention) else call.node for call in calls]):
            return calls
    if not placed:
        raise _unplaced_error(method, module, "no layer")
    if candidates or not any(probe.passes_only([call.node]) for call in placed):
        raise UndefinedMethodError(
            f"{method} is not defined for {type(module).__name__}: there is no layer that all of the image passes"
            " through on its way to the logits, as where several networks, or several passes of one, are joined;"
            " explain each by itself, give layer= to see the part of one layer, or use occlusion or"
            " integrated-gradients"
        )
    raise UndefinedMethodError(
        f"{method} is not defined for {type(module).__name__} without layer=: none of its last layers holds a map that"
        f" all of the image passes through; give layer=, the dotted name of an earlier one, such as"
        f" {_list_names(placed)}, or use occlusion or integrated-gradients"
    )


def _list_candidates(probe: LayerProbe, placed: Sequence[Call]) -> list[Call]:
    """Calls that may hold the last map, the best first."""
    if _is_global(probe.attention):
        tokens, layers = probe.attention[-1][1], len(probe.attention)
        norms = [call for call in probe.reaching if call.is_norm and call.shape[1] == tokens]
        last = [call.key for call in norms if call.attentions < layers][-1:]
        return [call for call in placed if call.key in last]
    # Behind the last block only a CLS token may be read.
    known = [call for call in reversed(placed) if call.is_read]
    # What has no clear places is passed over, but not back to the patches that a network starts from.
    most = _COARSER * min((call.cells for call in probe.spatial), default=0)
    late = [call for call in known if call.cells <= most]
    if not any(call.layout and call.layout.prefix for call in placed):
        return late
    # Tokens may keep one resolution from the first to the last.
    passed = [call.key for call in probe.spatial if probe.passes_only([call.node])]
    return [call for call in late if call.key in passed[len(passed) // 2 :]]


def _is_global(maps: Sequence[torch.Size]) -> bool:
    """Whether attention goes from every token to every token, in one resolution."""
    return bool(maps) and {tuple(shape) for shape in maps} == {(2, maps[0][1], maps[0][1])}


def _find_last_calls(probe: LayerProbe, placed: Sequence[Call], name: str) -> list[Call]:
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


def _find_by_name(method: str, module: nn.Module, name: str, probe: LayerProbe, placed: Sequence[Call]) -> list[Call]:
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
        " them; use occlusion or integrated-gradients, or give layer=, the name of a layer that returns b c h w"
    )


def _suggest(name: str, names: Sequence[str], calls: Sequence[Call]) -> str:
    guess = suggest(name, names).partition(" Known:")[0]
    return f"{guess if guess.startswith('Did') else ''} Layers that hold a map: {_list_names(calls)}".strip()


def _list_names(calls: Sequence[Call], most: int = 8) -> str:
    """The last norms, or else the last layers, the very last one first."""
    calls = [call for call in calls if call.is_read]
    calls = [call for call in calls if call.is_norm] or calls
    return ", ".join(list(dict.fromkeys(repr(call.name) for call in reversed(calls)))[:most]) or "none"
