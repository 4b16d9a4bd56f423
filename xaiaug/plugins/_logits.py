"""Computes the logits of a network, whatever arguments its family takes, and records what a layer reads."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import unfold

from ..errors import ConfigError, PluginError

_INTERPOLATE = "interpolate_pos_encoding"


def compute_logits(module: nn.Module, pixels: Tensor) -> Tensor:
    """The logits for prepared images: n k.

    Args:
        module: returns logits, bare or as the attribute `logits` of its output.
        pixels: n c h w; may differ from the network's own size where its positions can be interpolated.

    Raises:
        ConfigError: pixels are patches already.
        PluginError: the module returns something else.
    """
    if "spatial_shapes" in _read_arguments(module):
        output = module(**_cut_patches(module, pixels))
    else:
        output = module(pixels, **_size_arguments(module, pixels))
    logits = output if isinstance(output, Tensor) else getattr(output, "logits", output)
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        got = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise PluginError(
            f"{type(module).__name__} must return logits n k, as a Tensor or the attribute `logits` of its output, got"
            f" {got}"
        )
    return logits


def compute_probabilities(module: nn.Module, pixels: Tensor) -> NDArray[np.float32]:
    """The class probabilities for prepared images: n k, float32, rows sum to 1.

    Raises:
        PluginError: the network is in training mode, or its logits are not finite.
    """
    refuse_training_mode(module)
    return to_probabilities(module, compute_logits(module, pixels))


def refuse_training_mode(module: nn.Module) -> None:
    """Raises PluginError where a part of the network is in training mode: dropout and batch statistics would count."""
    if any(part.training for part in module.modules()):
        raise PluginError(f"{type(module).__name__} is in training mode; call eval() on it before it predicts")


def to_probabilities(module: nn.Module, logits: Tensor) -> NDArray[np.float32]:
    """The softmax of logits: n k, float32.

    Raises:
        PluginError: they are not finite.
    """
    logits = logits.float()
    if not torch.isfinite(logits).all():
        raise PluginError(
            f"{type(module).__name__} gave logits that are not finite; look for damaged weights, or for a division by"
            " zero in what prepares its images"
        )
    probabilities: NDArray[np.float32] = logits.softmax(-1).cpu().numpy()
    return probabilities


@contextmanager
def record_inputs(layer: nn.Module) -> Iterator[list[NDArray[np.float32]]]:
    """What a layer reads in each forward pass inside the block: b d, float32."""
    features: list[NDArray[np.float32]] = []

    def record(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        features.append(inputs[0].flatten(1).float().cpu().numpy())

    hook = layer.register_forward_pre_hook(record)
    try:
        yield features
    finally:
        hook.remove()


def interpolates_positions(module: nn.Module, pixels: Tensor) -> bool:
    """Whether the network reads these images (n c h w) only with its positions interpolated to their size."""
    return bool(_size_arguments(module, pixels))


def _size_arguments(module: nn.Module, pixels: Tensor) -> dict[str, Any]:
    config = getattr(module, "config", None)
    image_size = getattr(getattr(config, "vision_config", config), "image_size", None)
    height, width = image_size if isinstance(image_size, Iterable) else (image_size, image_size)
    if image_size is None or tuple(pixels.shape[-2:]) == (height, width) or not _interpolates(module):
        return {}
    return {_INTERPOLATE: True}


def _read_arguments(module: nn.Module) -> Mapping[str, inspect.Parameter]:
    """The arguments that a network takes; none where it does not tell them, as a traced one."""
    try:
        return inspect.signature(module.forward).parameters
    except (TypeError, ValueError):
        return {}


def _interpolates(module: nn.Module) -> bool:
    """Whether the network takes that argument, itself or by passing it to a part that does (CLIP)."""
    parameters = _read_arguments(module)
    if _INTERPOLATE in parameters:
        return True
    passes_on = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    return passes_on and any(_INTERPOLATE in _read_arguments(part) for part in module.children())


def _cut_patches(module: nn.Module, pixels: Tensor) -> dict[str, Tensor]:
    """The images as rows of patches, for families that take any size this way (SigLIP 2)."""
    if pixels.ndim != 4:
        raise ConfigError(
            f"{type(module).__name__}: its checkpoint's processor cuts images into patches; pass the network to"
            " TorchClassifier, with a preprocess that returns n c h w in multiples of its patch size"
        )
    config: Any = module.config
    side = config.vision_config.patch_size
    rows, columns = pixels.shape[2] // side, pixels.shape[3] // side
    cut = unfold(pixels[..., : rows * side, : columns * side], side, stride=side)
    # n (c p) l -> n l (p c): each patch pixel by pixel, as the family's own processor gives it.
    patches = cut.view(*pixels.shape[:2], side * side, -1).permute(0, 3, 2, 1).flatten(2)
    return {
        "pixel_values": patches,
        "pixel_attention_mask": torch.ones(patches.shape[:2], dtype=torch.int32, device=pixels.device),
        "spatial_shapes": torch.tensor([[rows, columns]] * len(pixels)),
    }
