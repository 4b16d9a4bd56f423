"""Checks of critics."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any

from PIL import ImageColor

from ...records import Critique, Failure
from . import items
from .bench import Bench
from .check_registry import NotApplicableError, check, expect

_COLOURS = ("subject_colour", "backdrop_colour")
_SHARES = ("brightness", "sharpness", "size")


@check("critic")
def critiques_have_words(bench: Bench) -> None:
    """A critique has a cause and a prompt, and its evidence is a tuple of texts."""
    for made in bench.done():
        for name in ("cause", "prompt"):
            value = getattr(made, name)
            expect(isinstance(value, str) and value.strip(), f"{name} must be text, got {value!r}")
        texts = isinstance(made.evidence, tuple) and all(isinstance(line, str) for line in made.evidence)
        expect(texts, f"evidence must be a tuple of texts, got {made.evidence!r}")


@check("critic")
def critiques_are_plain(bench: Bench) -> None:
    """A critique is JSON-plain, so that the ledger can keep it: no numpy numbers, no arrays."""
    for made in bench.done():
        try:
            json.dumps(asdict(made), allow_nan=False)
        except (TypeError, ValueError) as error:
            expect(False, f"a critique must be JSON-plain: {error}")


@check("critic")
def prompts_name_the_class(bench: Bench) -> None:
    """A prompt names the true class: an image without it would teach the wrong thing."""
    for made, case in zip(bench.results, bench.items(), strict=False):
        if isinstance(made, Critique):
            named = re.search(rf"\b{re.escape(case.label)}", made.prompt, re.IGNORECASE)
            expect(named, f"the prompt {made.prompt!r} does not name the class {case.label!r}")


@check("critic")
def guidance_can_be_followed(bench: Bench) -> None:
    """Colours in guidance are CSS colours; brightness, sharpness and size lie in 0 to 1; place is text."""
    wishes = [(name, value) for made in bench.done() for name, value in made.guidance.items()]
    if not wishes:
        raise NotApplicableError("it gives no guidance")
    for name, value in wishes:
        expect(_can_be_followed(name, value), f"guidance: {name} = {value!r} cannot be followed")


@check("critic")
def judges_without_a_map(bench: Bench) -> None:
    """A case without explanation, as in an arm that shows no map, is judged or a Failure of its own."""
    made = bench.work(bench.plugin, items.cases(mapped=False))
    wrong = [type(result).__name__ for result in made if not isinstance(result, Critique | Failure)]
    expect(not wrong and len(made) == len(bench.items()), f"cases without a map give {wrong or len(made)}")


@check("critic")
def judges_without_training_images(bench: Bench) -> None:
    """Prepared without training images, as outside a run, it judges, or each case is a Failure."""
    plugin = bench.made()
    plugin.prepare(items.context(bench.till, training=False))
    made = bench.work(plugin, bench.items())
    expect(len(made) == len(bench.items()), f"{len(bench.items())} cases give {len(made)} results")


def _can_be_followed(name: str, value: Any) -> bool:
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
