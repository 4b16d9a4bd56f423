"""Checks of critics."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any

from PIL import ImageColor

from ...records import Critique, Failure
from . import items
from .assertions import NotApplicableError, expect
from .bench import Bench
from .check_registry import check

_COLOURS = ("subject_colour", "backdrop_colour")
_SHARES = ("brightness", "sharpness", "size")


@check("critic")
def critiques_have_text(bench: Bench) -> None:
    """A critique has a cause and a prompt, and its evidence is a tuple of texts."""
    for critique in bench.successes():
        for name in ("cause", "prompt"):
            value = getattr(critique, name)
            expect(isinstance(value, str) and value.strip(), f"{name} must be text, got {value!r}")
        texts = isinstance(critique.evidence, tuple) and all(isinstance(line, str) for line in critique.evidence)
        expect(texts, f"evidence must be a tuple of texts, got {critique.evidence!r}")


@check("critic")
def critiques_are_plain(bench: Bench) -> None:
    """A critique is JSON-plain, so that the ledger can store it: no numpy numbers, no arrays."""
    for critique in bench.successes():
        try:
            json.dumps(asdict(critique), allow_nan=False)
        except (TypeError, ValueError) as error:
            expect(False, f"a critique must be JSON-plain: {error}")


@check("critic")
def prompts_name_the_class(bench: Bench) -> None:
    """A prompt names the true class: an image without it would teach the wrong thing."""
    for result, case in zip(bench.results, bench.items(), strict=False):
        if isinstance(result, Critique):
            named = re.search(rf"\b{re.escape(case.label)}", result.prompt, re.IGNORECASE)
            expect(named, f"the prompt {result.prompt!r} does not name the class {case.label!r}")


@check("critic")
def guidance_is_valid(bench: Bench) -> None:
    """Colours in guidance are CSS colours; brightness, sharpness and size lie in 0 to 1; place is text."""
    entries = [entry for critique in bench.successes() for entry in critique.guidance.items()]
    if not entries:
        raise NotApplicableError("it gives no guidance")
    for name, value in entries:
        expect(_is_valid(name, value), f"guidance: {name} = {value!r} is not valid")


@check("critic")
def critiques_without_a_heatmap(bench: Bench) -> None:
    """A case without explanation, as in an arm that shows no heatmap, gives a critique or a Failure."""
    results = bench.run(bench.plugin, items.make_cases(mapped=False))
    wrong = [type(result).__name__ for result in results if not isinstance(result, Critique | Failure)]
    expect(not wrong and len(results) == len(bench.items()), f"cases without a heatmap give {wrong or len(results)}")


@check("critic")
def critiques_without_training_images(bench: Bench) -> None:
    """Prepared without training images, as outside a run, it gives a critique or a Failure for each case."""
    plugin = bench.create()
    plugin.prepare(items.make_context(bench.paid, training=False))
    results = bench.run(plugin, bench.items())
    expect(len(results) == len(bench.items()), f"{len(bench.items())} cases give {len(results)} results")


def _is_valid(name: str, value: Any) -> bool:
    if name in _SHARES:
        return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    if not isinstance(value, str):
        return False
    if name not in _COLOURS:
        return bool(value)
    try:
        ImageColor.getrgb(value)
    except ValueError:
        return False
    return True
