"""Checks of the batch: as many results as items, in order, each by itself, the same every time."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ...errors import DataError
from ...records import Critique, Explanation, Failure, SyntheticImage
from .bench import Bench
from .check_registry import check, expect
from .equality import same

MAKERS = ("explainer", "critic", "synthesizer")
_RESULT = {"explainer": Explanation, "critic": Critique, "synthesizer": SyntheticImage}


@check(*MAKERS)
def does_its_work(bench: Bench) -> None:
    """Of the small images, cases or requests it is given, it does at least one."""
    failures = [result for result in bench.results if isinstance(result, Failure)]
    if failures and len(failures) == len(bench.results):
        expect(False, f"it fails on all {len(failures)} items; the first: {failures[0].kind}: {failures[0].message}")


@check(*MAKERS)
def as_many_results_as_items(bench: Bench) -> None:
    """A list with as many results as items."""
    made, count = bench.results, len(bench.items())
    expect(isinstance(made, list), f"it must return a list, got {type(made).__name__}")
    expect(len(made) == count, f"{count} items must give {count} results, got {len(made)}")


@check(*MAKERS)
def results_have_their_type(bench: Bench) -> None:
    """Every result is the record of its kind, or a Failure with kind and message."""
    wanted = _RESULT[bench.kind]
    for number, made in enumerate(bench.results):
        fits = isinstance(made, wanted | Failure)
        expect(fits, f"result {number} must be {wanted.__name__} or Failure, got {type(made).__name__}")
        if isinstance(made, Failure):
            told = isinstance(made.kind, str) and made.kind and isinstance(made.message, str)
            expect(told, f"result {number}: a Failure needs a kind and a message, got {made}")


@check()
def keeps_the_order(bench: Bench) -> None:
    """Items in another order give the same results in that order."""
    turned = bench.work(bench.plugin, bench.items()[::-1])
    expect(_alike(turned[::-1], bench.results), "items in reverse must give the same results in reverse")


@check()
def a_batch_equals_singles(bench: Bench) -> None:
    """An item's result does not depend on what else is in the batch."""
    alone = [bench.work(bench.plugin, [item])[0] for item in bench.items()]
    different = [i for i, (one, other) in enumerate(zip(alone, bench.results, strict=True)) if not same(one, other)]
    expect(not different, f"alone, items {different} give other results than in a batch")


@check()
def an_empty_batch_gives_nothing(bench: Bench) -> None:
    """No items give no results, and no error; an explainer may refuse them with a DataError."""
    try:
        made = bench.work(bench.plugin, [])
    except DataError:
        expect(bench.kind == "explainer", f"a {bench.kind} must give nothing for no items, and it raised a DataError")
        return
    if bench.kind == "classifier":
        shape = (0, len(bench.plugin.labels))
        expect(np.shape(made) == shape, f"no images must give the shape {shape} (n k), got {np.shape(made)}")
    else:
        expect(isinstance(made, list) and not made, f"no items must give [], got {made!r}")


@check()
def the_same_again(bench: Bench) -> None:
    """The same items give the same results, a second time and from another instance: chance comes from seeds."""
    expect(_alike(bench.work(bench.plugin, bench.items()), bench.results), "a second time the results are others")
    expect(_alike(bench.work(bench.fresh(), bench.items()), bench.results), "another instance gives other results")


@check(when=lambda plugin: plugin.remote)
def bears_several_threads(bench: Bench) -> None:
    """A remote plugin is called from several threads at once, and each gets its own results."""
    items = bench.items()
    with ThreadPoolExecutor(len(items)) as pool:
        made = list(pool.map(lambda item: bench.work(bench.plugin, [item])[0], items))
    expect(_alike(made, bench.results), "called from several threads at once it gives other results")


def _alike(one: Sequence[Any], other: Sequence[Any]) -> bool:
    return len(one) == len(other) and all(map(same, one, other))
