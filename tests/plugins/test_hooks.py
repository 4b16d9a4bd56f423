"""An interrupt at any line leaves no hook and no changed attribute behind."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
import torch
from families import noise, transformer, wrapped
from torch import nn

from xaiaug import load
from xaiaug.plugins.explainers import _tokens
from xaiaug.plugins.explainers._attention import current_observer
from xaiaug.plugins.explainers._hooks import attach_hooks, ensure_undo

OURS = ("_hooks.py", "_attention.py", "_token_probe.py", "_layers.py", "_layer_probe.py", "_aggregation.py")
TRIES = 12


def state(module: nn.Module) -> list[Any]:
    hooks = [[len(held) for name, held in vars(part).items() if "hooks" in name] for part in module.modules()]
    ways = [part.config._attn_implementation for part in module.modules() if hasattr(part, "config")]
    return [hooks, ways, [parameter.grad for parameter in module.parameters()], current_observer.get()]


def traced(work: Callable[[], object], stop: int | None) -> int:
    """How many lines of ours the work runs; an interrupt comes before the one numbered `stop`."""
    count = 0

    def line(frame: FrameType, event: str, _: object) -> Callable[..., Any]:
        nonlocal count
        if event == "line":
            count += 1
            if count == stop:
                raise KeyboardInterrupt
        return line

    def call(frame: FrameType, *_: object) -> Callable[..., Any] | None:
        return line if frame.f_code.co_filename.endswith(OURS) else None

    earlier = sys.gettrace()
    sys.settrace(call)
    try:
        work()
    finally:
        sys.settrace(earlier)
    return count


@pytest.mark.parametrize("method", ["attention-rollout", "attention-relevance", "grad-cam"])
def test_an_interrupt_at_any_line_leaves_nothing_behind(method: str) -> None:
    network = transformer("siglip-pooled")
    classifier, images, before = wrapped(network), [noise(32, 32)], state(network)

    def work() -> None:
        _tokens._known.clear()
        load("explainer", method).explain(classifier, images, [0])

    lines = traced(work, None)
    assert lines > 200
    for number in range(TRIES):
        try:
            traced(work, 1 + number * (lines - 1) // TRIES)
        except KeyboardInterrupt:
            pass
        else:
            pytest.fail("the interrupt did not come")
        assert state(network) == before
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("cut", [True, False])
def test_undo_runs_again_after_an_interrupt(cut: bool) -> None:
    done: list[int] = []

    def undo() -> None:
        done.append(1)
        if cut and len(done) == 1:
            raise KeyboardInterrupt

    if cut:
        with pytest.raises(KeyboardInterrupt), ensure_undo(undo):
            pass
    else:
        with ensure_undo(undo):
            pass
    assert len(done) == 1 + cut


def test_only_the_hooks_of_the_block_are_removed() -> None:
    part, calls = nn.ReLU(), []
    part.register_forward_hook(lambda *_: calls.append("mine"))
    with attach_hooks([part], lambda *_: calls.append("after"), lambda *_: calls.append("before")):
        inner = lambda *_: calls.append("inner")  # noqa: E731
        with attach_hooks([part], inner, with_kwargs=True):
            part(torch.ones(1))
        part(torch.ones(1))
    part(torch.ones(1))
    assert calls == ["before", "mine", "after", "inner", "before", "mine", "after", "mine"]
    assert not part._forward_hooks_with_kwargs
