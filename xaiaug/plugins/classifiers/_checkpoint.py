"""Opens a checkpoint as a network with its labels; replaces or reorders its head."""

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
from ._isolation import isolate_randomness, silence_transformers
from ._preprocessor import Preprocessor


@dataclass
class Network:
    """A loaded checkpoint.

    Attributes:
        module: the network, in evaluation mode; returns logits.
        preprocessor: prepares its images.
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
    path = locate(checkpoint, revision)
    # `fit` draws new heads again; isolation only keeps the caller's random state as it was.
    with silence_transformers(), isolate_randomness(0):
        try:
            module, loading = AutoModelForImageClassification.from_pretrained(
                path,
                revision=revision,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
            processor = AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
                path, revision=revision, backend="pil", trust_remote_code=False
            )
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"TransformersClassifier: cannot load the checkpoint {checkpoint!r}: {_first_line(error)} Give a"
                " folder with config.json, model.safetensors and preprocessor_config.json, or the name of such a"
                " checkpoint on the model hub."
            ) from error
    _align_memory(module)
    fitted = _check_weights(checkpoint, module, loading)
    names = module.config.id2label
    labels = tuple(str(names[index]) for index in range(module.config.num_labels))
    return Network(module.eval(), Preprocessor(processor), labels, fitted)


def _check_weights(checkpoint: str, module: Any, loading: dict[str, Any]) -> bool:
    """Whether the checkpoint holds a head; raises ConfigError where it lacks much of the backbone."""
    names = {name for name, _ in module.named_parameters()}
    head = find_head_names(module)
    mismatched = {entry[0] if isinstance(entry, tuple) else entry for entry in loading["mismatched_keys"]}
    absent = (set(loading["missing_keys"]) | mismatched) & names
    if len(absent - head) > len(names - head) / 4:
        raise ConfigError(
            f"TransformersClassifier: {checkpoint!r} holds no weights for {len(absent - head)} of"
            f" {len(names - head)} parameters of {type(module).__name__}; it is a checkpoint of another model"
        )
    return not absent


def _align_memory(module: nn.Module) -> None:
    """Moves weights into memory with torch's own alignment.

    A file's tensors start where its header ends, and kernels round differently there: without this a loaded network
    and a copy of it would differ in the last bits.
    """
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data = tensor.data.clone()


def _first_line(error: Exception) -> str:
    line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return line if line.endswith(".") else f"{line}."


def find_head_names(module: Any) -> frozenset[str]:
    """Names of the parameters whose shape depends on the number of classes, in any family."""
    labels = [f"label {index}" for index in range(module.config.num_labels + 1)]
    with torch.device("meta"), silence_transformers():
        other = type(module)(_copy_config(module.config, labels))
    shapes = {name: value.shape for name, value in other.named_parameters()}
    return frozenset(name for name, value in module.named_parameters() if shapes[name] != value.shape)


def find_head(module: Any) -> nn.Module:
    """The layer that turns features into logits."""
    head: nn.Module = module.get_submodule(min(find_head_names(module)).rpartition(".")[0])
    return head


def replace_head(module: Any, labels: Sequence[str], seed: int) -> Any:
    """A network with an untrained head for these labels, and all other weights as they were."""
    head = find_head_names(module)
    with isolate_randomness(seed), silence_transformers():
        fresh = type(module)(_copy_config(module.config, labels))
    kept = {name: value for name, value in module.state_dict().items() if name not in head}
    fresh.load_state_dict(kept, strict=False)
    return fresh.to(module.device).eval()


def reorder_head(module: Any, labels: Sequence[str], wanted: Sequence[str]) -> None:
    """Puts the head's outputs into another order of the same labels, in place."""
    order = torch.tensor([list(labels).index(label) for label in wanted], device=module.device)
    with torch.no_grad():
        for name in find_head_names(module):
            parameter = module.get_parameter(name)
            parameter.copy_(parameter[order])
    _set_labels(module.config, wanted)


def _copy_config(config: Any, labels: Sequence[str]) -> Any:
    config = copy.deepcopy(config)
    _set_labels(config, labels)
    return config


def _set_labels(config: Any, labels: Sequence[str]) -> None:
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
