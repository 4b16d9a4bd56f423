"""Which cells of a layer see which part of the image is found by planting noise, never guessed from their number."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from families import drawn, noise, wrapped
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from xaiaug import load
from xaiaug.errors import UndefinedMethodError
from xaiaug.plugins.explainers._layer_probe import confirm_layouts, probe_layers
from xaiaug.plugins.explainers._layers import find_layer
from xaiaug.plugins.explainers._layouts import Layout, confirm_layout, measure_answers, spread_blocks


def tokens_of(rows: int, columns: int) -> torch.Tensor:
    """What a layer returns that averages even patches of 4 pixels, for an image and a copy with each block: m n c."""
    images = spread_blocks(4 * rows, 4 * columns).plant(torch.rand(3, 4 * rows, 4 * columns))
    return nn.functional.avg_pool2d(images, 4).flatten(2).transpose(1, 2)


@given(st.integers(3, 16), st.integers(3, 16), st.integers(0, 4))
def test_rows_of_patches_are_confirmed_behind_any_number_of_others(rows: int, columns: int, prefix: int) -> None:
    tokens = tokens_of(rows, columns)
    tokens = torch.cat([torch.ones(len(tokens), prefix, 3), tokens], 1)
    layout, blocks = Layout("tokens", (rows, columns), prefix), spread_blocks(4 * rows, 4 * columns)
    assert confirm_layout(layout, measure_answers(tokens), blocks) == layout


@given(st.integers(4, 12), st.integers(4, 12), st.data())
def test_a_token_among_the_patches_is_noticed(rows: int, columns: int, data: st.DataObject) -> None:
    tokens = tokens_of(rows, columns)
    place = data.draw(st.integers(rows * columns // 4, rows * columns))
    tokens = torch.cat([tokens[:, :place], torch.ones(len(tokens), 1, 3), tokens[:, place:]], 1)
    blocks = spread_blocks(4 * rows, 4 * columns)
    assert confirm_layout(Layout("tokens", (rows, columns), 1), measure_answers(tokens), blocks) is None


@given(st.permutations(range(16)).filter(lambda order: order not in ([*range(16)], [*range(16)][::-1])))
def test_patches_in_another_order_are_noticed_or_mirrored(order: list[int]) -> None:
    found = confirm_layout(Layout("tokens", (4, 4)), measure_answers(tokens_of(4, 4)[:, order]), spread_blocks(16, 16))
    grid = np.array(order).reshape(4, 4)
    mirrors = {(-1,): grid[:, ::-1], (-2,): grid[::-1], (-2, -1): grid[::-1, ::-1]}
    for sides, turned in mirrors.items():
        if np.array_equal(turned.ravel(), np.arange(16)):
            assert found == Layout("tokens", (4, 4), mirrored=sides)
            return
    assert found is None


@given(st.integers(0, 2**31))
def test_cells_that_answer_at_random_are_no_map(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    blocks = spread_blocks(32, 32)
    for layout, shape in ((Layout("tokens", (4, 4)), (17, 16, 8)), (Layout("map", (8, 8)), (17, 8, 8, 8))):
        answers = measure_answers(torch.randn(shape, generator=generator))
        assert confirm_layout(layout, answers, blocks) is None


class Queries(nn.Module):
    """Convolutions whose map of 8 by 8 cells is read by learned queries, 16 by default."""

    def __init__(self, count: int = 16) -> None:
        super().__init__()
        self.look = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.GELU(), nn.Conv2d(16, 16, 3, 2, 1))
        self.queries = nn.Parameter(torch.randn(1, count, 16))
        self.attention, self.norm = nn.MultiheadAttention(16, 2, batch_first=True), nn.LayerNorm(16)
        self.head = nn.Linear(16, 3)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        tokens, queries = self.look(pixels).flatten(2).transpose(1, 2), self.queries.expand(len(pixels), -1, -1)
        return self.head(self.norm(queries + self.attention(queries, tokens, tokens)[0]).mean(1))


@pytest.mark.parametrize("count", [16, 64])
def test_learned_queries_are_passed_over_for_the_map_before_them(count: int) -> None:
    network = Queries(count)
    (found,) = load("explainer", "auto").explain(wrapped(network), [noise(32, 32)], [0])
    assert (found.method, found.grid.shape) == ("grad-cam", (8, 8))
    with pytest.raises(
        UndefinedMethodError, match="not all calls of 'norm' returned cells in row-major order.*queries"
    ):
        load("explainer", "grad-cam", layer="norm").explain(wrapped(network), [noise(32, 32)], [0])


class Middle(nn.Module):
    """A CLS token in the middle of 64 patches, and a mixer without attention."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.cls, self.norm = (
            nn.Conv2d(3, 16, 8, 8),
            nn.Parameter(torch.randn(1, 1, 16)),
            nn.LayerNorm(16),
        )
        self.mix, self.head = nn.Linear(65, 65), nn.Linear(16, 3)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(pixels).flatten(2).transpose(1, 2)
        tokens = torch.cat([tokens[:, :32], self.cls.expand(len(tokens), -1, -1), tokens[:, 32:]], 1)
        tokens = tokens + self.mix(self.norm(tokens).transpose(1, 2)).transpose(1, 2)
        return self.head(tokens[:, 32])


def test_a_cls_token_in_the_middle_is_refused_or_passed_over() -> None:
    with pytest.raises(UndefinedMethodError, match="grad-cam: in Middle.*others among them"):
        load("explainer", "grad-cam", layer="norm").explain(wrapped(Middle()), [noise(64, 64)], [0])
    assert find_layer("grad-cam", Middle().eval(), torch.rand(1, 3, 64, 64)).name == "patches"


def hiera() -> nn.Module:
    config = transformers.HieraConfig(
        embed_dim=12, image_size=[64, 64], depths=[1, 1, 2, 1], num_heads=[1, 1, 2, 2], num_labels=3
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return transformers.HieraForImageClassification(config).eval()


def test_the_reordered_cells_of_hiera_are_refused_and_its_last_stage_is_explained() -> None:
    network = hiera()
    with pytest.raises(UndefinedMethodError, match=r"layernorm_after' returned cells in row-major order"):
        load("explainer", "grad-cam", layer="hiera.encoder.stages.2.layers.1.layernorm_after").explain(
            wrapped(network), [noise(64, 64)], [1]
        )
    layer = find_layer("grad-cam", network, torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    assert (layer.name, layer.calls) == ("hiera.encoder.stages.3", {0: Layout("tokens", (2, 2))})


def test_places_do_not_depend_on_how_strongly_layers_mix() -> None:
    config = transformers.DeiTConfig(
        **{"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32},
        image_size=32,
        patch_size=8,
        architectures=["DeiTForImageClassification"],
    )
    for spread in (0.01, 0.3, 2.0):
        network = drawn(transformers.AutoModelForImageClassification.from_config(config), spread)
        layer = find_layer("grad-cam", network, torch.rand(1, 3, 32, 32))
        assert (layer.name, layer.calls) == ("deit.layers.2.layernorm_before", {0: Layout("tokens", (4, 4), 2)})


def test_probing_a_network_keeps_no_values_of_its_graph() -> None:
    network = hiera()
    probe = probe_layers(network, torch.rand(1, 3, 64, 64))
    assert confirm_layouts(network, torch.rand(1, 3, 64, 64), probe)
    with pytest.raises(RuntimeError, match="second time"):
        probe.logits.sum().backward()
    assert all(parameter.grad is None for parameter in network.parameters())
