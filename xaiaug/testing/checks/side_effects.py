"""Checks of what a plugin leaves behind: nothing."""

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

from .bench import Bench
from .check_registry import check, expect
from .equality import content
from .network_guard import guarded


@check()
def leaves_randomness_alone(bench: Bench) -> None:
    """The global random generators of Python, numpy and torch stand after its work where they stood before."""
    changed = _changed_by_work(bench, _generators)
    expect(not changed, f"it moves the global generator of {' and '.join(changed)}: use one of your own, from the seed")


@check()
def leaves_the_process_alone(bench: Bench) -> None:
    """Working folder, environment, warning filters and torch's global switches are after its work as before."""
    changed = _changed_by_work(bench, _process)
    expect(not changed, f"it changes the {' and the '.join(changed)} of the whole process")


@check()
def leaves_its_items_alone(bench: Bench) -> None:
    """Images, cases and requests are after its work as before."""
    items = bench.items()
    before = [content(item) for item in items]
    bench.work(bench.plugin, items)
    changed = [number for number, item in enumerate(items) if content(item) != before[number]]
    expect(not changed, f"it changes what it is given: items {changed}; work on copies")


@check(when=lambda plugin: not plugin.remote)
def connects_to_nobody(bench: Bench) -> None:
    """A plugin that does not say remote = True reaches no other machine, neither in prepare nor at work."""
    with guarded() as seen, contextlib.suppress(ConnectionError):
        bench.work(bench.fresh(), bench.items())
    expect(not seen.hosts, f"it asks {', '.join(sorted(set(seen.hosts)))}, and does not say remote = True")


@check()
def prints_nothing(bench: Bench) -> None:
    """Its work writes nothing to standard output, where the command line shows how far a run is."""
    told = io.StringIO()
    plugin = bench.plugin
    with contextlib.redirect_stdout(told):
        bench.work(plugin, bench.items())
    expect(not told.getvalue(), f"it prints {told.getvalue()[:80]!r}; use logging")


def _changed_by_work(bench: Bench, look: Callable[[], dict[str, Any]]) -> list[str]:
    with _put_back():
        bench.work(bench.plugin, bench.items())  # what imports change is changed now
    before = look()
    with _put_back():
        bench.work(bench.fresh(), bench.items())
        after = look()
    return [name for name, value in before.items() if after.get(name) != value]


@contextlib.contextmanager
def _put_back() -> Iterator[None]:
    torch, before = sys.modules.get("torch"), _process()
    folder, environment = os.getcwd(), dict(os.environ)  # noqa: PTH109  chdir takes it as it is
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
                torch.set_default_dtype(before["default type of numbers"])
                torch.set_num_threads(before["number of threads"])


def _generators() -> dict[str, Any]:
    found: dict[str, Any] = {"random": random.getstate(), "numpy": content(np.random.get_state())}
    torch = sys.modules.get("torch")
    if torch is not None:
        found["torch"] = torch.random.get_rng_state().numpy().tobytes()
    return found


def _process() -> dict[str, Any]:
    found: dict[str, Any] = {
        "working folder": os.getcwd(),  # noqa: PTH109
        "environment": dict(os.environ),
        "warning filters": list(warnings.filters),
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        found["gradient switch"] = torch.is_grad_enabled()
        found["default type of numbers"] = torch.get_default_dtype()
        found["number of threads"] = torch.get_num_threads()
    return found
