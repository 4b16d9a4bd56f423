"""Checks of synthesizers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from PIL import Image

from ...records import Failure, SynthesisRequest, SyntheticImage
from .assertions import equal, expect
from .bench import Bench
from .check_registry import check

_SMALLEST_SIDE = 8  # curation rejects smaller images


@check("synthesizer")
def images_can_be_trained_on(bench: Bench) -> None:
    """An image is a Pillow image in RGB with sides of at least 8 pixels."""
    for result in bench.successes():
        image = result.image
        expect(isinstance(image, Image.Image), f"image must be a Pillow image, got {type(image).__name__}")
        expect(image.mode == "RGB", f"image must be RGB, got {image.mode}")
        expect(
            min(image.size) >= _SMALLEST_SIDE,
            f"the sides of an image must have at least {_SMALLEST_SIDE} pixels, got {image.size}",
        )


@check("synthesizer")
def images_record_seed_and_prompt(bench: Bench) -> None:
    """An image records the seed of its request, the prompt as used and the words that were cut."""
    for result, request in zip(bench.results, bench.items(), strict=False):
        if isinstance(result, SyntheticImage):
            expect(result.seed == request.seed, f"the seed of the request is {request.seed}, got {result.seed!r}")
            expect(isinstance(result.prompt, str), f"prompt must be text, got {type(result.prompt).__name__}")
            words = isinstance(result.dropped, tuple) and all(isinstance(word, str) for word in result.dropped)
            expect(words, f"dropped must be a tuple of words, got {result.dropped!r}")


@check("synthesizer")
def details_are_plain(bench: Bench) -> None:
    """details are JSON-plain, so that the ledger can store them."""
    for result in bench.successes():
        try:
            json.dumps(dict(result.details), allow_nan=False)
        except (TypeError, ValueError) as error:
            expect(False, f"details must be JSON-plain: {error}")


@check("synthesizer")
def another_seed_gives_another_image(bench: Bench) -> None:
    """Another seed gives another image: repetitions of a run vary it."""
    bench.successes()
    for offset in (1_000, 2_000, 3_000):
        others = _run_changed(bench, partial(_shift_seed, offset))
        if any(not equal(one, other) for one, other in zip(_images(bench.results), others, strict=True)):
            return
    expect(False, "three other seeds gave the same images")


@check("synthesizer", when=lambda plugin: "prompt" not in plugin.uses)
def ignores_an_undeclared_prompt(bench: Bench) -> None:
    """Without "prompt" in uses, another prompt gives the same image: arms are compared by what a synthesizer uses."""
    _expect_unused(bench, "prompt", lambda request: replace(request, prompt=f"a drawing of a {request.label} at night"))


@check("synthesizer", when=lambda plugin: "guidance" not in plugin.uses)
def ignores_undeclared_guidance(bench: Bench) -> None:
    """Without "guidance" in uses, other guidance gives the same image."""
    guidance: dict[str, str | float] = {"backdrop_colour": "#101010", "size": 0.9}
    _expect_unused(bench, "guidance", lambda request: replace(request, guidance=guidance))


@check("synthesizer", when=lambda plugin: "image" not in plugin.uses)
def ignores_an_undeclared_image(bench: Bench) -> None:
    """Without "image" in uses, another source image gives the same image."""
    source = Image.new("RGB", (32, 32), "olive")
    _expect_unused(bench, "image", lambda request: replace(request, source=source))


@check("synthesizer")
def handles_a_bare_request(bench: Bench) -> None:
    """A request without prompt, guidance, source or explanation gives an image, or a Failure with the reason."""
    bare = [SynthesisRequest("0" * 16, 0, "", request.label, request.seed) for request in bench.items()]
    results = bench.run(bench.plugin, bare)
    wrong = [type(result).__name__ for result in results if not isinstance(result, SyntheticImage | Failure)]
    expect(not wrong and len(results) == len(bare), f"{len(bare)} bare requests give {wrong or len(results)}")


def _shift_seed(offset: int, request: SynthesisRequest) -> SynthesisRequest:
    return replace(request, seed=request.seed + offset)


def _expect_unused(bench: Bench, name: str, change: Callable[[SynthesisRequest], SynthesisRequest]) -> None:
    unused = equal(_run_changed(bench, change), _images(bench.results))
    expect(unused, f"it uses the {name}; declare it: uses = frozenset({{{name!r}, ...}})")


def _run_changed(bench: Bench, change: Callable[[SynthesisRequest], SynthesisRequest]) -> list[Any]:
    return _images(bench.run(bench.plugin, [change(request) for request in bench.items()]))


def _images(results: list[Any]) -> list[Any]:
    return [None if isinstance(result, Failure) else result.image for result in results]
