"""Every explainer checks its request first, and by the same code."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from families import noise, transformer, wrapped

from xaiaug import load
from xaiaug.errors import DataError, PluginError
from xaiaug.interfaces import Explainer

METHODS = ("auto", "attention-rollout", "attention-last", "attention-relevance", "grad-cam", "integrated-gradients")
CONTROLS = ("random", "uniform")


@pytest.mark.parametrize("method", [*METHODS[1:], *CONTROLS])
def test_a_method_is_nothing_but_its_own_maps(method: str) -> None:
    kind = type(load("explainer", method))
    assert issubclass(kind, Explainer)
    assert "explain" not in vars(kind)
    assert kind.method == method


@pytest.mark.parametrize("method", [*METHODS, *CONTROLS])
@pytest.mark.parametrize("target", [3, -1, 1.5, None, "a", float("nan")])
def test_a_target_is_the_index_of_a_label(method: str, target: object) -> None:
    with pytest.raises(DataError, match=rf"{method}: targets must lie in 0\.\.2, the labels of ViT.*got {target!r}"):
        load("explainer", method).explain(wrapped(transformer("vit")), [noise(32, 32)] * 2, [0, target])


@pytest.mark.parametrize("targets", [np.array([2, 1]), torch.tensor([2, 1]), (np.int8(2), True)])
def test_indices_of_any_type_are_accepted(targets: object) -> None:
    found = load("explainer", "attention-last").explain(wrapped(transformer("vit")), [noise(32, 32)] * 2, targets)
    assert [(each.target, type(each.target)) for each in found] == [(2, int), (1, int)]


@pytest.mark.parametrize("method", METHODS)
def test_a_compiled_network_is_explained_as_the_one_inside(method: str) -> None:
    # Compiled, it would call but some of the hooks: Grad-CAM then weighs another layer.
    network, images = transformer("vit"), [noise(32, 32), noise(32, 32, 1)]
    expected = load("explainer", method).explain(wrapped(network), images, [0, 2])
    compiled = wrapped(torch.compile(network, backend="eager"))
    for one, other in zip(load("explainer", method).explain(compiled, images, [0, 2]), expected, strict=True):
        np.testing.assert_array_equal(one.grid, other.grid)


@pytest.mark.parametrize("method", METHODS)
def test_compiled_layers_are_refused(method: str) -> None:
    whole, part = copy.deepcopy(transformer("vit")), copy.deepcopy(transformer("vit"))
    whole.compile(backend="eager")
    part.vit.layers[2] = torch.compile(part.vit.layers[2], backend="eager")
    for network in (whole, part):
        with pytest.raises(PluginError, match=rf"{method}: ViTForImageClassification has compiled layers.*without com"):
            load("explainer", method).explain(wrapped(network), [noise(32, 32)], [0])
