"""The head of a network: finds it, replaces it, reorders its outputs, makes two of one."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from ...errors import ConfigError, UnsupportedRecipeError
from ._isolation import isolate_randomness, silence_transformers
from ._last_layer import Head


def find_head_axes(module: Any) -> dict[str, int]:
    """The parameters whose shape depends on the number of classes, in any family, each with that axis.

    Raises:
        ConfigError: no parameter depends on it, or none can be told.
    """
    labels = [f"label {index}" for index in range(count_outputs(module.config) + 1)]
    with torch.device("meta"), silence_transformers():
        other = type(module)(copy_config(module.config, labels))
    shapes = {name: value.shape for name, value in other.named_parameters()}
    axes = {
        name: next(axis for axis, size in enumerate(value.shape) if size != shapes[name][axis])
        for name, value in module.named_parameters()
        if shapes[name] != value.shape
    }
    if not axes:
        raise ConfigError(
            f"TransformersClassifier: no layer of {type(module).__name__} depends on the number of classes, so that it"
            " has no head to train or reorder; pass the network to TorchClassifier"
        )
    return axes


def find_head_names(module: Any) -> frozenset[str]:
    """Names of the parameters whose shape depends on the number of classes, in any family."""
    return frozenset(find_head_axes(module))


def find_head(module: Any) -> nn.Module:
    """The layer that turns features into logits."""
    head: nn.Module = module.get_submodule(min(find_head_names(module)).rpartition(".")[0])
    return head


def replace_head(module: Any, labels: Sequence[str], seed: int) -> Any:
    """A network with an untrained head for these labels, and all other weights as they were."""
    head = find_head_names(module)
    with isolate_randomness(seed), silence_transformers():
        fresh = type(module)(copy_config(module.config, labels))
    kept = {name: value for name, value in module.state_dict().items() if name not in head}
    fresh.load_state_dict(kept, strict=False)
    fresh.config.problem_type = None
    return fresh.to(module.device).eval()


def select_outputs(module: Any, labels: Sequence[str], wanted: Sequence[str]) -> Any:
    """The network with the outputs of some of its labels, in the order wanted; the same object where all are kept."""
    rows = [list(labels).index(label) for label in wanted]
    axes = find_head_axes(module)
    chosen = module if len(rows) == len(labels) else replace_head(module, wanted, 0)
    order = torch.tensor(rows, device=module.device)
    with torch.no_grad():
        for name, axis in axes.items():
            chosen.get_parameter(name).copy_(module.get_parameter(name).index_select(axis, order))
    set_labels(chosen.config, wanted)
    return chosen


def split_output(module: Any, labels: Sequence[str]) -> Any:
    """The network with two outputs, -z/2 and z/2, in place of its one z: their softmax is the sigmoid of z.

    Args:
        module: has one output.
        labels: of the two: the class that z is against, and the one it is for.
    """
    split = replace_head(module, labels, 0)
    with torch.no_grad():
        for name, axis in find_head_axes(module).items():
            half = module.get_parameter(name) / 2
            split.get_parameter(name).copy_(torch.cat([-half, half], axis))
    return split


def count_outputs(config: Any) -> int:
    """The number of classes that a network of this configuration is made for."""
    return int(config.num_labels)


def copy_config(config: Any, labels: Sequence[str]) -> Any:
    """A copy of a configuration for other labels."""
    config = copy.deepcopy(config)
    set_labels(config, labels)
    return config


def set_labels(config: Any, labels: Sequence[str]) -> None:
    """Sets the labels of a configuration, and their number: some families keep that apart."""
    config.num_labels = len(labels)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}


class LinearHead:
    """A linear layer as the last layer of a classifier.

    Args:
        layer: gives the logits; of two classes, or the one logit of which one class has -z/2 and the other z/2.
        order: the output of each class; of one logit 0 for the class that it is against, 1 for the other.

    Raises:
        UnsupportedRecipeError: it is no linear layer with biases.
    """

    def __init__(self, layer: nn.Module, order: Sequence[int]) -> None:
        if not isinstance(layer, nn.Linear) or layer.bias is None:
            raise UnsupportedRecipeError(
                f"the last layer of this network is a {type(layer).__name__}; training the last layer alone needs a"
                " linear one with biases"
            )
        self._layer, self._order = layer, list(order)

    def read(self) -> Head:
        """Its weights, in the order of the classes."""
        weights, biases = (value.detach().double().cpu().numpy() for value in (self._layer.weight, self._layer.bias))
        if len(weights) == 1:
            weights, biases = np.concatenate([-weights, weights]) / 2, np.concatenate([-biases, biases]) / 2
        return Head(weights[self._order], biases[self._order])

    def write(self, head: Head) -> None:
        """Replaces them."""
        weights, biases = np.zeros_like(head.weights), np.zeros_like(head.biases)
        weights[self._order], biases[self._order] = head.weights, head.biases
        if self._layer.out_features == 1:
            weights, biases = weights[1:] - weights[:1], biases[1:] - biases[:1]
        with torch.no_grad():
            self._layer.weight.copy_(torch.from_numpy(weights))
            self._layer.bias.copy_(torch.from_numpy(biases))
