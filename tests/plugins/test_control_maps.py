"""The controls, random and uniform, do not depend on the network, and are like other maps in all else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from families import Guess, noise, pixels_of
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from xaiaug import TorchClassifier, load
from xaiaug.errors import ConfigError, DataError
from xaiaug.interfaces import Prepared
from xaiaug.plugins.explainers.random import RandomMap
from xaiaug.plugins.explainers.uniform import UniformMap


def left_half(images: Sequence[Image.Image]) -> Prepared:
    boxes = torch.tensor([[0, 0, image.width / 2, image.height] for image in images])
    return Prepared(pixels_of(images), boxes)


@pytest.mark.parametrize(("name", "kind"), [("random", RandomMap), ("uniform", UniformMap)])
def test_they_need_no_network(name: str, kind: type) -> None:
    (found,) = load("explainer", name).explain(Guess(), [noise(30, 20)], [1])
    assert isinstance(load("explainer", name), kind)
    assert (found.method, found.target, found.class_specific) == (name, 1, False)
    assert (found.heatmap.shape, found.heatmap.dtype, found.grid.dtype) == ((20, 30), np.float32, np.float32)
    assert np.isfinite(found.heatmap).all()


@pytest.mark.parametrize("explainer", [RandomMap(), UniformMap()])
def test_they_are_nan_where_the_network_sees_nothing(explainer: RandomMap | UniformMap) -> None:
    (found,) = explainer.explain(TorchClassifier(nn.Identity(), left_half, ("a",)), [noise(30, 20)], [0])
    assert np.isnan(found.heatmap[:, 15:]).all()
    assert np.isfinite(found.heatmap[:, :15]).all()


def test_a_uniform_map_is_degenerate() -> None:
    (found,) = UniformMap().explain(Guess(), [noise(30, 20)], [0])
    assert found.degenerate
    np.testing.assert_allclose(found.heatmap, 1, rtol=1e-6)


@given(st.integers(0, 2**40), st.integers(1, 20), st.integers(0, 3))
def test_noise_depends_on_seed_and_image_alone(seed: int, cells: int, image: int) -> None:
    images = [noise(30, 20, number) for number in range(4)]
    together = RandomMap(seed, cells).explain(Guess(), images, [0, 1, 0, 1])
    (single,) = RandomMap(seed, cells).explain(Guess(), [images[image]], [1])
    np.testing.assert_array_equal(together[image].grid, single.grid)
    assert single.grid.shape == (cells, cells)
    assert len({found.grid.tobytes() for found in together}) == 4
    (other,) = RandomMap(seed + 1, cells).explain(Guess(), [images[image]], [1])
    assert (other.grid != single.grid).any()


def test_noise_is_even_between_0_and_1() -> None:
    (found,) = RandomMap(cells=100).explain(Guess(), [noise(8, 8)], [0])
    counts, _ = np.histogram(found.grid, 10, (0, 1))
    assert counts.sum() == 10_000
    assert np.abs(counts - 1000).max() < 150
    assert not found.degenerate


@pytest.mark.parametrize("explainer", [RandomMap(), UniformMap()])
def test_requests_that_do_not_fit_are_refused(explainer: RandomMap | UniformMap) -> None:
    for images, targets, message in (
        ([noise(8, 8)], [], "to explain Guess, got 1 images and 0 targets"),
        ([noise(8, 8)], [2], r"must lie in 0\.\.1, the labels of Guess, got 2"),
        ([], [], "no images"),
    ):
        with pytest.raises(DataError, match=message):
            explainer.explain(Guess(), images, targets)
    with pytest.raises(ConfigError, match="cells must be 1 or more, got 0"):
        RandomMap(cells=0)
