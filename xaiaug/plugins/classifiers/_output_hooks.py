"""What is done to a network's logits after each pass: another order, or two in place of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from .._logits import compute_logits

_SIDE = 64


def reorder_logits(module: nn.Module, order: list[int]) -> nn.Module:
    """The network, changed in place: its logits in another order."""
    module.register_forward_hook(partial(_reorder_output, order))
    return module


def has_one_logit(module: nn.Module, preprocess: Callable[[Sequence[Image.Image]], Any]) -> bool:
    """Whether a network gives one logit an image: asked with a grey one; what cannot be asked has not."""
    try:
        prepared = preprocess([Image.new("RGB", (_SIDE, _SIDE), (128, 128, 128))])
        pixels = prepared if isinstance(prepared, Tensor) else prepared.pixels
        device = next((tensor.device for tensor in module.parameters()), torch.device("cpu"))
        with torch.no_grad():
            return tuple(compute_logits(module, pixels.to(device)).shape) == (1, 1)
    except Exception:  # noqa: BLE001  whatever is wrong is told when it predicts
        return False


def split_logit(module: nn.Module) -> nn.Module:
    """The network, changed in place: -z/2 and z/2 in place of its one logit z, so that their softmax is its sigmoid."""
    module.register_forward_hook(_split_output, prepend=True)
    return module


@contextmanager
def keep_own_logits(module: nn.Module) -> Iterator[None]:
    """A block in which a network gives its one logit again, for its own training."""
    keys = [key for key, hook in module._forward_hooks.items() if hook is _split_output]
    for key in keys:
        del module._forward_hooks[key]
    try:
        yield
    finally:
        if keys:
            split_logit(module)


def _split_output(_: nn.Module, __: Any, output: Any) -> Any:
    return _change(output, lambda logits: torch.cat([-logits / 2, logits / 2], 1))


def _reorder_output(order: list[int], _: nn.Module, __: Any, output: Any) -> Any:
    # One logit is for the second of two labels: in the other order it is against it.
    return _change(output, lambda logits: -logits if logits.shape[1] == 1 else logits[:, order])


def _change(output: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(output, Tensor):
        return change(output)
    output.logits = change(output.logits)
    return output
