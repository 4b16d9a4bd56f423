"""Checks of batches: one result per item, in order, independent of the batch, and the same every time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ...errors import DataError
from ...records import Critique, Explanation, Failure, SyntheticImage
from .assertions import all_equal, equal, expect
from .bench import Bench
from .check_registry import check

LISTING = ("explainer", "critic", "synthesizer")  # kinds that return a list of records
_RECORD = {"explainer": Explanation, "critic": Critique, "synthesizer": SyntheticImage}


@check(*LISTING)
def succeeds_on_an_item(bench: Bench) -> None:
    """At least one of the small images, cases or requests gives a result that is not a Failure."""
    failures = [result for result in bench.results if isinstance(result, Failure)]
    if failures and len(failures) == len(bench.results):
        expect(False, f"it fails on all {len(failures)} items; the first: {failures[0].kind}: {failures[0].message}")


@check(*LISTING)
def one_result_per_item(bench: Bench) -> None:
    """The results are a list with one result per item."""
    results, count = bench.results, len(bench.items())
    expect(isinstance(results, list), f"it must return a list, got {type(results).__name__}")
    expect(len(results) == count, f"{count} items must give {count} results, got {len(results)}")


@check(*LISTING)
def results_have_the_right_type(bench: Bench) -> None:
    """Every result is the record of the plugin's kind, or a Failure with kind and message."""
    record = _RECORD[bench.kind]
    for number, result in enumerate(bench.results):
        fits = isinstance(result, record | Failure)
        expect(fits, f"result {number} must be {record.__name__} or Failure, got {type(result).__name__}")
        if isinstance(result, Failure):
            explained = isinstance(result.kind, str) and result.kind and isinstance(result.message, str)
            expect(explained, f"result {number}: a Failure needs a kind and a message, got {result}")


@check()
def keeps_the_order(bench: Bench) -> None:
    """Items in another order give the same results in that order."""
    reverse = bench.run(bench.plugin, bench.items()[::-1])
    expect(all_equal(reverse[::-1], bench.results), "items in reverse must give the same results in reverse")


@check()
def a_batch_equals_singles(bench: Bench) -> None:
    """The result of an item does not depend on the other items of the batch."""
    singles = [bench.run(bench.plugin, [item])[0] for item in bench.items()]
    different = [i for i, (one, other) in enumerate(zip(singles, bench.results, strict=True)) if not equal(one, other)]
    expect(not different, f"items {different} give other results alone than in a batch")


@check()
def an_empty_batch_gives_nothing(bench: Bench) -> None:
    """No items give no results and no error; an explainer may raise a DataError."""
    try:
        results = bench.run(bench.plugin, [])
    except DataError:
        expect(bench.kind == "explainer", f"a {bench.kind} must return nothing for no items, and it raised a DataError")
        return
    if bench.kind == "classifier":
        shape = (0, len(bench.plugin.labels))
        expect(np.shape(results) == shape, f"no images must give the shape {shape} (n k), got {np.shape(results)}")
    else:
        expect(isinstance(results, list) and not results, f"no items must give [], got {results!r}")


@check()
def is_deterministic(bench: Bench) -> None:
    """The same items give the same results, on a second call and from another instance: randomness comes from seeds."""
    again, other = bench.run(bench.plugin, bench.items()), bench.run(bench.create_prepared(), bench.items())
    expect(all_equal(again, bench.results), "a second call gives other results")
    expect(all_equal(other, bench.results), "another instance gives other results")


@check(when=lambda plugin: plugin.remote)
def is_thread_safe(bench: Bench) -> None:
    """A remote plugin may be called from several threads at once; each call gets its own results."""
    items = bench.items()
    with ThreadPoolExecutor(len(items)) as pool:
        results = list(pool.map(lambda item: bench.run(bench.plugin, [item])[0], items))
    expect(all_equal(results, bench.results), "called from several threads at once it gives other results")
