"""A pooling head that is watched answers as one that is not, whatever its masks; else its network is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from families import VIT, drawn, noise, pixels_of, wrapped
from torch import nn
from transformers import AutoModel, SiglipVisionConfig

from xaiaug import load
from xaiaug.errors import UndefinedMethodError
from xaiaug.plugins.explainers import _token_probe, _tokens
from xaiaug.plugins.explainers._attention import Recording, observe_attention, record_attention

METHODS = ("attention-last", "attention-rollout", "attention-relevance")


class Pooled(nn.Module):
    """Tokens of a vision transformer under a head of torch's own attention."""

    def __init__(
        self, call: Callable[[nn.MultiheadAttention, torch.Tensor, torch.Tensor], Any], **options: Any
    ) -> None:
        super().__init__()
        self.body, self.query = (
            AutoModel.from_config(SiglipVisionConfig(**VIT, vision_use_head=False)),
            nn.Parameter(torch.zeros(1, 1, 16)),
        )
        self.pool = nn.MultiheadAttention(16, 2, **{"batch_first": True, **options})
        self.head, self.call = nn.Linear(16, 3), call

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        tokens = self.body(pixels).last_hidden_state
        return self.head(self.call(self.pool, self.query.expand(len(tokens), -1, -1), tokens)[0][:, 0])


def hide(count: int, kind: str, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
    """Masks of the first tokens in each form that torch takes; bools are True at what is hidden."""
    hidden = torch.zeros(tokens.shape[:2], dtype=torch.bool)
    hidden[:, :count] = True
    if kind == "padding":
        return {"key_padding_mask": hidden}
    if kind == "padding-float":
        return {"key_padding_mask": torch.zeros(hidden.shape).masked_fill(hidden, -torch.inf)}
    if kind == "mask":
        return {"attn_mask": hidden[:1]}
    return {"attn_mask": hidden[:, None].repeat_interleave(2, 0)}


@pytest.mark.parametrize("kind", ["padding", "padding-float", "mask", "mask-of-heads"])
def test_masks_count_while_a_head_is_watched(kind: str) -> None:
    network = drawn(Pooled(lambda pool, query, tokens: pool(query, tokens, tokens, **hide(5, kind, tokens))))
    pixels = pixels_of([noise(32, 32), noise(32, 32, 1)])
    with torch.no_grad():
        expected = network(pixels)
        with record_attention(network) as recording:
            found = network(pixels)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert not recording.pooled[0][:, :5].any()
    for method in METHODS:
        (each,) = load("explainer", method).explain(wrapped(network), [noise(32, 32)], [0])
        assert each.grid.shape == (4, 4)
        if method == "attention-last":
            np.testing.assert_allclose(each.grid.ravel(), recording.pooled[0][0], atol=1e-6)


REFUSED = {
    "some of the tokens": (
        lambda pool, query, tokens: pool(query, tokens[:, 1:], tokens[:, 1:]),
        {},
        "not in one head over all",
    ),
    "two heads": (
        lambda pool, query, tokens: (pool(query, tokens, tokens)[0] + pool(query + 1, tokens, tokens)[0],),
        {},
        "not in one head over all",
    ),
    "every token": (lambda pool, _, tokens: pool(tokens, tokens, tokens), {}, "torch's own"),
    "batch second": (
        lambda pool, query, tokens: (
            pool(*(each.transpose(0, 1) for each in (query, tokens, tokens)))[0].transpose(0, 1),
        ),
        {"batch_first": False},
        "torch's own",
    ),
    "keys of its own": (lambda pool, query, tokens: pool(query, tokens, tokens), {"add_bias_kv": True}, "torch's own"),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", REFUSED)
def test_heads_that_cannot_be_followed_are_refused(kind: str, method: str) -> None:
    call, options, reason = REFUSED[kind]
    with pytest.raises(UndefinedMethodError, match=f"{method} is not defined for Pooled: .*{reason}"):
        load("explainer", method).explain(wrapped(drawn(Pooled(call, **options))), [noise(32, 32)], [0])


class Sharpened(Recording):
    """Counts attention as another than the network's."""

    def on_weights(self, weights: torch.Tensor, pooling: bool) -> torch.Tensor:
        return super().on_weights(weights.softmax(-1), pooling)


def test_a_network_that_answers_otherwise_while_it_is_watched_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    network = drawn(Pooled(lambda pool, query, tokens: pool(query, tokens, tokens)))
    pixels = pixels_of([noise(32, 32)])
    with torch.no_grad(), observe_attention(network, Sharpened()):
        watched = network(pixels)
    assert (watched - network(pixels)).abs().max() > 1e-3
    original = _token_probe.TokenProbe.on_weights
    monkeypatch.setattr(_token_probe.TokenProbe, "on_weights", lambda self, *given: original(self, *given).softmax(-1))
    with pytest.raises(UndefinedMethodError, match="Pooled: with its attention recorded it gives other logits"):
        load("explainer", "attention-last").explain(wrapped(network), [noise(32, 32)], [0])


@pytest.mark.parametrize("method", METHODS)
def test_small_groups_of_images_have_the_same_maps(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = drawn(Pooled(lambda pool, query, tokens: pool(query, tokens, tokens)))
    classifier = wrapped(network)
    images, targets = [noise(32, 32, seed) for seed in range(5)], [0, 1, 2, 0, 1]
    expected = load("explainer", method).explain(classifier, images, targets)
    sizes: list[int] = []
    monkeypatch.setattr(_token_probe, "_MOST_FLOATS", 10_000)
    (known,) = _tokens._known[network].values()
    assert known.kept_bytes > 0
    monkeypatch.setattr(_tokens, "_most_bytes", lambda *_: 3 * known.kept_bytes)
    hook = classifier.module.body.register_forward_hook(lambda _, __, output: sizes.append(len(output[0])))
    found = load("explainer", method).explain(classifier, images, targets)
    hook.remove()
    assert max(sizes) <= 3
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.grid, other.grid, atol=1e-5 * np.abs(other.grid).max())
