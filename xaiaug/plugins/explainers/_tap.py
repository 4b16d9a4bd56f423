"""A layer whose output passes through a module of ours, so that gradients can be taken there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ._layers import Layer
from ._undoing import hooked


@contextmanager
def tapped(module: nn.Module, layer: Layer, tap: nn.Module) -> Iterator[None]:
    """Hands the layer's output through `tap` as b c h w, float32, inside the block; leaves the network as it was.

    What comes before is cut off, and what comes after has gradients even where the forward pass was begun without: so
    nothing is kept for the layers before. Forward passes of other threads meanwhile are not touched.
    """
    thread = threading.get_ident()

    def hand_through(_: nn.Module, __: object, output: Tensor) -> Tensor | None:
        if threading.get_ident() != thread:
            return None
        torch.set_grad_enabled(True)
        leaf = output.detach()
        found: Tensor = tap(layer.layout.to_map(leaf).float())
        return layer.layout.to_output(found.to(leaf.dtype), leaf)

    with hooked([module.get_submodule(layer.name)], hand_through):
        yield
