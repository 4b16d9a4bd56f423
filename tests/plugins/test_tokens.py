"""Grid, prefix and readout of a network's tokens are found by probing the network."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import transformers
from families import TRANSFORMERS, VIT, Headed, drawn, transformer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from xaiaug.errors import UndefinedMethodError
from xaiaug.plugins.explainers._tokens import Tokens, find_readout_row, find_tokens


def found(network: nn.Module, height: int = 32, width: int = 32) -> Tokens:
    return find_tokens("probe", network.eval(), torch.rand(2, 3, height, width))


@pytest.mark.parametrize("name", TRANSFORMERS)
@pytest.mark.parametrize(("size", "grid"), [((32, 32), (4, 4)), ((64, 24), (8, 3)), ((37, 55), (4, 6))])
def test_every_family_is_described_at_every_size(name: str, size: tuple[int, int], grid: tuple[int, int]) -> None:
    _, prefix, readout = TRANSFORMERS[name]
    network = transformer(name)
    if name == "siglip-pooled" and size != (32, 32):
        with pytest.raises(RuntimeError, match="size of tensor"):  # its wrapper does not have positions interpolated
            found(network, *size)
        return
    tokens = found(network, *size)
    assert (tokens.prefix, tokens.grid, tokens.count) == (prefix, grid, prefix + grid[0] * grid[1])
    assert tokens.share == pytest.approx((grid[0] * 8 / size[0], grid[1] * 8 / size[1]))
    assert tokens.readout == readout.partition(" ")[0]
    assert tokens.read == {"cls": (0,), "cls and distillation": (0, 1)}.get(readout, ())


VITS = st.builds(
    lambda rows, columns, height, width: ((rows, columns), (height, width)),
    *[st.integers(2, 6)] * 2, *[st.integers(2, 9)] * 2,
)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(VITS, st.integers(0, 4))
def test_patches_of_every_shape_behind_any_number_of_registers(
    shape: tuple[tuple[int, int], tuple[int, int]], registers: int
) -> None:
    (rows, columns), (height, width) = shape
    config = transformers.Dinov2WithRegistersConfig(**{**VIT, "num_hidden_layers": 1}, num_register_tokens=registers)
    network = transformers.Dinov2WithRegistersForImageClassification(config)
    embeddings = network.dinov2_with_registers.embeddings
    embeddings.patch_embeddings.projection = nn.Conv2d(3, 16, (height, width), (height, width))
    embeddings.forward = lambda pixels, **_: torch.cat(
        [
            embeddings.cls_token.expand(len(pixels), -1, -1),
            embeddings.register_tokens.expand(len(pixels), -1, -1),
            embeddings.patch_embeddings.projection(pixels).flatten(2).transpose(1, 2),
        ],
        1,
    )
    # As from a layer: what the first norm returns.
    tokens = found(network, rows * height, columns * width)
    assert (tokens.prefix, tokens.grid, tokens.read) == (1 + registers, (rows, columns), (0,))


@pytest.mark.parametrize("zeros", ["classifier", "q_proj", "k_proj"])
def test_the_description_does_not_depend_on_the_values_of_weights(zeros: str) -> None:
    network = transformer("vit")
    for name, parameter in network.named_parameters():
        if zeros in name:
            parameter.data.zero_()
    assert (found(network).readout, found(network).grid) == ("cls", (4, 4))


class Heads(Headed):
    """A backbone of tokens under some other head than its own."""

    def __init__(self, read: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__(transformers.AutoModel.from_config(TRANSFORMERS["dinov3"][0]))
        self.read = read

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.head(self.read(self.body(pixels).last_hidden_state))


@pytest.mark.parametrize(
    ("read", "readout", "rows"),
    [
        (lambda tokens: tokens[:, 0], "cls", (0,)),
        (lambda tokens: tokens[:, 5:].mean(1), "mean", ()),
        (lambda tokens: tokens[:, 1:5].mean(1), "cls", (1, 2, 3, 4)),
        (lambda tokens: tokens[:, 5:].amax(1), "mean", ()),
        (lambda tokens: torch.ones(len(tokens), 16), "", ()),
    ],
)
def test_what_a_head_reads_is_found(read: Callable, readout: str, rows: tuple[int, ...]) -> None:
    tokens = found(drawn(Heads(read)))
    assert (tokens.readout, tokens.read) == (readout, rows)


def test_the_row_of_a_head_is_an_equal_share_on_what_it_reads() -> None:
    network = transformer("deit-distilled")
    tokens = found(network)
    device = torch.device("cpu")
    assert find_readout_row("probe", network, tokens, "auto", device).tolist() == [0.5, 0.5] + [0] * 16
    assert find_readout_row("probe", network, tokens, "cls", device).tolist() == [1, 0] + [0] * 16
    assert find_readout_row("probe", network, tokens, "mean", device).tolist() == [0, 0] + [1 / 16] * 16
    with pytest.raises(UndefinedMethodError, match="probe.*DeiTFor.*no head that pools by attention"):
        find_readout_row("probe", network, tokens, "pooling", device)


def test_a_head_that_reads_no_token_is_refused() -> None:
    network = drawn(Heads(lambda tokens: torch.ones(len(tokens), 16)))
    with pytest.raises(UndefinedMethodError, match="Heads: its head reads none of its tokens"):
        find_readout_row("probe", network, found(network), "auto", torch.device("cpu"))


class Shuffle(nn.Module):
    """Puts tokens in another order than that of the image."""

    def __init__(self, order: list[int]) -> None:
        super().__init__()
        self.order = order

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens[:, self.order]


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ([0, *range(16, 0, -1)], "do not lie on a grid"),
        (
            [0, *range(1, 7), 8, 7, *range(9, 17)],
            "row-major order behind 1 others: changing the patches.*6, 8, 7, 9",
        ),
        ([0, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, 4, 8, 12, 16], "in row-major order behind 1 others.*1, 5, 9, 13"),
        ([*range(1, 17), 0], "its last token is not computed from pixels"),
        ([1, 0, *range(2, 17)], "do not lie on a grid"),
    ],
)
def test_tokens_in_another_order_are_noticed(order: list[int], message: str) -> None:
    network = transformer("vit")
    network.vit.embeddings.dropout = Shuffle(order)
    with pytest.raises(UndefinedMethodError, match=f"probe is not defined for ViTFor.*{message}.*use .*grad-cam"):
        found(network)


def test_probing_leaves_no_trace_and_is_done_once() -> None:
    network = transformer("siglip-pooled")
    passes: list[int] = []
    hook = network.body.embeddings.register_forward_hook(lambda *_: passes.append(1))
    with torch.no_grad():
        for _ in range(3):
            found(network)
        assert not torch.is_grad_enabled()
    hook.remove()
    assert len(passes) == 3
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())
