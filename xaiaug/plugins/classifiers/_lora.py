"""LoRA: trains low-rank adapters in place of all weights (arXiv 2106.09685), by peft."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from ...errors import UnsupportedRecipeError
from ._head import find_head_names
from ._isolation import isolate_randomness

RANK, ALPHA = 8, 16
_GEOMETRY = ("kernel_size", "stride", "padding", "dilation")


@contextmanager
def train_lora(module: Any, seed: int = 0) -> Iterator[None]:
    """Has only adapters and the head trained inside the block; then merges the adapters into the weights.

    The head is trained as well: it is new, and would stay random. The adapters' first weights follow from the seed.

    Raises:
        UnsupportedRecipeError: there is nothing to adapt, or peft is not installed.
    """
    targets = find_lora_targets(module)
    if not targets:
        raise UnsupportedRecipeError(
            f"{type(module).__name__} has neither attention projections nor 1 x 1 convolutions to adapt"
        )
    head = find_head_names(module)
    with isolate_randomness(seed):
        _inject(module, targets)
    for name, parameter in module.named_parameters():
        parameter.requires_grad_("lora_" in name or name in head)
    try:
        yield
    finally:
        merge_lora(module)
        for parameter in module.parameters():
            parameter.requires_grad_(True)


def find_lora_targets(module: nn.Module) -> list[str]:
    """Names of the linear layers within attention; where there are none, of the 1 x 1 convolutions."""
    attention = [name for name, part in module.named_modules() if "attention" in type(part).__name__.lower()]
    linear = [
        name
        for name, part in module.named_modules()
        if isinstance(part, nn.Linear) and any(name.startswith(f"{outer}.") for outer in attention)
    ]
    return linear or [
        name
        for name, part in module.named_modules()
        if isinstance(part, nn.Conv2d) and part.kernel_size == (1, 1) and part.groups == 1
    ]


def _inject(module: nn.Module, targets: list[str]) -> None:
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise UnsupportedRecipeError("adapters need peft: pip install 'xaiaug[lora]'") from error
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=targets)
    inject_adapter_in_model(config, module)
    for layer in _find_lora_layers(module).values():
        for name in _GEOMETRY:  # some networks read these of their convolutions before they call them
            if hasattr(layer.get_base_layer(), name):
                setattr(layer, name, getattr(layer.get_base_layer(), name))


def merge_lora(module: nn.Module) -> None:
    """Merges adapters into the weights, where there are any."""
    for name, layer in _find_lora_layers(module).items():
        layer.merge()
        parent, _, attribute = name.rpartition(".")
        setattr(module.get_submodule(parent), attribute, layer.get_base_layer())


def _find_lora_layers(module: nn.Module) -> dict[str, Any]:
    from peft.tuners.lora import LoraLayer

    return {name: part for name, part in module.named_modules() if isinstance(part, LoraLayer)}
