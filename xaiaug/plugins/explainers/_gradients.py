"""Makes a network's gradients right whatever the memory layout, and leaves none of them behind in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node, get_gradient_edge
from torch.overrides import TorchFunctionMode

_NORMS = {
    torch.batch_norm,
    torch.instance_norm,
    nn.functional.batch_norm,
    nn.functional.instance_norm,
}
# What keeps its input for the gradient of its weights, and would not for that of its input alone.
_WEIGHTED = {
    *_NORMS,
    nn.functional.layer_norm,
    nn.functional.linear,
    torch.layer_norm,
    torch.matmul,
    torch.mul,
    Tensor.__matmul__,
    Tensor.__mul__,
    Tensor.__rmul__,
    Tensor.matmul,
    Tensor.mul,
}


@contextmanager
def guard_gradients(module: nn.Module) -> Iterator[None]:
    """Gradients inside the block are right and can be computed; afterwards the network's caches hold no graph."""
    try:
        # Under inference mode a network would cache tensors that no later backward pass accepts.
        with torch.inference_mode(mode=False), _InputGradients():
            yield
    finally:
        detach_caches(module)


class _InputGradients(TorchFunctionMode):
    """Computes gradients of what layers read alone: not of weights, and right ones behind batch and instance norms.

    A layer whose weights need no gradient keeps less for the backward pass. The network's own weights are left as they
    are, since another thread may train them.

    torch 2.13 returns wrong gradients of an evaluating batch norm on the CPU where the layouts of map and gradient
    differ and the batch, the height or the width is 1; an instance norm is a batch norm of a batch of 1. So both are
    handed contiguous ones.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _WEIGHTED:
            args = [_detach_weight(each) for each in args]
            kwargs = {name: _detach_weight(each) for name, each in kwargs.items()}
        if func not in _NORMS or not args:
            return func(*args, **kwargs)
        output: Tensor = func(args[0].contiguous(), *args[1:], **kwargs)
        if output.requires_grad:
            output.register_hook(Tensor.contiguous)  # type: ignore[no-untyped-call]
        return output


def _detach_weight(value: Any) -> Any:
    return value.detach() if isinstance(value, nn.Parameter) else value


def detach_caches(module: nn.Module) -> None:
    """Detaches tensors with a graph that layers keep beside their weights: a network with such tensors has no copy."""
    for part in module.modules():
        for held in (vars(part), part._buffers):
            for name, value in list(held.items()):
                if _has_graph(value):
                    held[name] = value.detach()
                elif isinstance(value, dict) and name not in ("_parameters", "_buffers", "_modules"):
                    value.update({key: kept.detach() for key, kept in list(value.items()) if _has_graph(kept)})
                elif isinstance(value, list):
                    value[:] = [kept.detach() if _has_graph(kept) else kept for kept in value]


def _has_graph(value: object) -> bool:
    return isinstance(value, Tensor) and value.grad_fn is not None


def find_node(tensor: Tensor) -> Node:
    """The node of the autograd graph that made a tensor; of a leaf, the one that collects its gradient."""
    return get_gradient_edge(tensor).node


def reaches(start: Node | None, target: Node, cut: Iterable[Node] = ()) -> bool:
    """Whether the graph leads back from one node to another, on a way that passes none of the nodes of the cut."""
    seen = set(cut)
    waiting = [] if start is None or start in seen else [start]
    while waiting:
        node = waiting.pop()
        if node is target:
            return True
        following = [before for before, _ in node.next_functions if before is not None and before not in seen]
        seen.update(following)
        waiting += following
    return False
