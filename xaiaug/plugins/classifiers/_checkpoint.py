"""A checkpoint as a network with its labels, and its head exchanged or re-ordered."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AutoImageProcessor, AutoModelForImageClassification

from ...errors import ConfigError
from ._hub import locate
from ._isolation import own_randomness, quiet
from ._preprocessor import Preprocessor


@dataclass
class Network:
    """A loaded checkpoint.

    Attributes:
        module: the network, in evaluation mode; returns logits.
        preprocessor: how it wants its images.
        labels: names of the classes, in the order of its logits.
        fitted: whether its head was trained.
        trained: whether `fit` has trained it, so that its head belongs to the run.
    """

    module: Any
    preprocessor: Preprocessor
    labels: tuple[str, ...]
    fitted: bool
    trained: bool = False


def open_checkpoint(checkpoint: str, revision: str | None = None) -> Network:
    """The network in a folder that `save_pretrained` wrote, or of a name on the model hub, in float32.

    Raises:
        ConfigError: there is no such checkpoint, or it is not one of an image classifier or its backbone.
    """
    place = locate(checkpoint, revision)
    # New heads are drawn again by `fit`; here they are only kept from moving the caller's random state.
    with quiet(), own_randomness(0):
        try:
            module, loading = AutoModelForImageClassification.from_pretrained(
                place,
                revision=revision,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
            processor = AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
                place, revision=revision, backend="pil", trust_remote_code=False
            )
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"TransformersClassifier: cannot load the checkpoint {checkpoint!r}: {_first_line(error)} Give a"
                " folder with config.json, model.safetensors and preprocessor_config.json, or the name of such a"
                " checkpoint on the model hub."
            ) from error
    _align(module)
    fitted = _check_weights(checkpoint, module, loading)
    names = module.config.id2label
    labels = tuple(str(names[index]) for index in range(module.config.num_labels))
    return Network(module.eval(), Preprocessor(processor), labels, fitted)


def head_names(module: Any) -> frozenset[str]:
    """Names of the parameters whose shape depends on the number of classes, in whatever family."""
    labels = [f"label {index}" for index in range(module.config.num_labels + 1)]
    with torch.device("meta"), quiet():
        other = type(module)(_config_with(module.config, labels))
    shapes = {name: value.shape for name, value in other.named_parameters()}
    return frozenset(name for name, value in module.named_parameters() if shapes[name] != value.shape)


def with_new_head(module: Any, labels: Sequence[str], seed: int) -> Any:
    """The network with an untrained head for these labels, and all else as it was."""
    head = head_names(module)
    with own_randomness(seed), quiet():
        fresh = type(module)(_config_with(module.config, labels))
    kept = {name: value for name, value in module.state_dict().items() if name not in head}
    fresh.load_state_dict(kept, strict=False)
    return fresh.to(module.device).eval()


def reorder_head(module: Any, labels: Sequence[str], wanted: Sequence[str]) -> None:
    """Puts the head's outputs into another order of the same labels, in place."""
    order = torch.tensor([list(labels).index(label) for label in wanted], device=module.device)
    with torch.no_grad():
        for name in head_names(module):
            parameter = module.get_parameter(name)
            parameter.copy_(parameter[order])
    _name_labels(module.config, wanted)


def head_module(module: Any) -> nn.Module:
    """The layer that turns features into logits."""
    found: nn.Module = module.get_submodule(min(head_names(module)).rpartition(".")[0])
    return found


def _config_with(config: Any, labels: Sequence[str]) -> Any:
    config = copy.deepcopy(config)
    _name_labels(config, labels)
    return config


def _name_labels(config: Any, labels: Sequence[str]) -> None:
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}


def _check_weights(checkpoint: str, module: Any, loading: dict[str, Any]) -> bool:
    """Whether the head is a trained one; a backbone that stayed random is an error, never a surprise."""
    names = {name for name, _ in module.named_parameters()}
    head = head_names(module)
    mismatched = {entry[0] if isinstance(entry, tuple) else entry for entry in loading["mismatched_keys"]}
    absent = (set(loading["missing_keys"]) | mismatched) & names
    if len(absent - head) > len(names - head) / 4:
        raise ConfigError(
            f"TransformersClassifier: {checkpoint!r} holds no weights for {len(absent - head)} of"
            f" {len(names - head)} parameters of {type(module).__name__}; it is a checkpoint of another model"
        )
    return not absent


def _align(module: nn.Module) -> None:
    """Moves weights into memory of torch's own alignment.

    A file's tensors lie where its header ends, and kernels round differently there: without this a loaded network and
    a copy of it would differ in the last bits.
    """
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data = tensor.data.clone()


def _first_line(error: Exception) -> str:
    line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return line if line.endswith(".") else f"{line}."
