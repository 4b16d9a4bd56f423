"""Checks that a plugin leaves no side effects behind."""

from __future__ import annotations

import contextlib
import io
import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .assertions import expect, to_bytes
from .bench import Bench
from .check_registry import check
from .network_guard import guard_network


@check()
def leaves_random_state_unchanged(bench: Bench) -> None:
    """The global random generators of Python, numpy and torch have the same state before and after its work."""
    changed = _changes_by_work(bench, _generator_states)
    expect(not changed, f"it uses the global generator of {' and '.join(changed)}: create your own, from the seed")


@check()
def leaves_the_process_unchanged(bench: Bench) -> None:
    """Working folder, environment, warning filters and torch's switches are the same before and after its work."""
    changed = _changes_by_work(bench, _process_state)
    expect(not changed, f"it changes the {' and the '.join(changed)} of the process")


@check()
def leaves_its_items_unchanged(bench: Bench) -> None:
    """Images, cases and requests are the same before and after its work."""
    items = bench.items()
    before = [to_bytes(item) for item in items]
    bench.run(bench.plugin, items)
    changed = [number for number, item in enumerate(items) if to_bytes(item) != before[number]]
    expect(not changed, f"it changes its items {changed}; work on copies")


@check(when=lambda plugin: not plugin.remote)
def stays_offline(bench: Bench) -> None:
    """A plugin that does not declare remote = True connects to no other machine, neither in prepare nor at work."""
    with guard_network() as log, contextlib.suppress(ConnectionError):
        bench.run(bench.create_prepared(), bench.items())
    expect(not log.hosts, f"it connects to {', '.join(sorted(set(log.hosts)))} and does not declare remote = True")


@check()
def prints_nothing(bench: Bench) -> None:
    """It writes nothing to standard output, which the command line uses for progress."""
    output = io.StringIO()
    plugin = bench.plugin
    with contextlib.redirect_stdout(output):
        bench.run(plugin, bench.items())
    expect(not output.getvalue(), f"it prints {output.getvalue()[:80]!r}; use logging")


def _changes_by_work(bench: Bench, read_state: Callable[[], dict[str, Any]]) -> list[str]:
    with _restored_process():
        bench.run(bench.plugin, bench.items())  # whatever imports change, they change now
    before = read_state()
    with _restored_process():
        bench.run(bench.create_prepared(), bench.items())
        after = read_state()
    return [name for name, value in before.items() if after.get(name) != value]


@contextlib.contextmanager
def _restored_process() -> Iterator[None]:
    torch, before = sys.modules.get("torch"), _process_state()
    folder, environment = os.getcwd(), dict(os.environ)  # noqa: PTH109  chdir takes a string
    with warnings.catch_warnings():
        try:
            yield
        finally:
            os.chdir(folder)
            for name in set(os.environ) - set(environment):
                del os.environ[name]
            os.environ.update(environment)
            if torch is not None:
                torch.set_grad_enabled(before["gradient switch"])
                torch.set_default_dtype(before["default dtype"])
                torch.set_num_threads(before["number of threads"])


def _generator_states() -> dict[str, Any]:
    states: dict[str, Any] = {"random": random.getstate(), "numpy": to_bytes(np.random.get_state())}
    torch = sys.modules.get("torch")
    if torch is not None:
        states["torch"] = torch.random.get_rng_state().numpy().tobytes()
    return states


def _process_state() -> dict[str, Any]:
    state: dict[str, Any] = {
        "working folder": os.getcwd(),  # noqa: PTH109
        "environment": dict(os.environ),
        "warning filters": list(warnings.filters),
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        state["gradient switch"] = torch.is_grad_enabled()
        state["default dtype"] = torch.get_default_dtype()
        state["number of threads"] = torch.get_num_threads()
    return state
