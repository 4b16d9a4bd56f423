"""Checks of synthesizers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from PIL import Image

from ...records import Failure, SynthesisRequest, SyntheticImage
from .bench import Bench
from .check_registry import check, expect
from .equality import same

_LEAST_SIDE = 8  # curation rejects smaller ones


@check("synthesizer")
def images_can_be_trained_on(bench: Bench) -> None:
    """An image is a Pillow image in RGB with at least 8 pixels a side."""
    for made in bench.done():
        image = made.image
        expect(isinstance(image, Image.Image), f"image must be a Pillow image, got {type(image).__name__}")
        expect(image.mode == "RGB", f"image must be RGB, got {image.mode}")
        expect(
            min(image.size) >= _LEAST_SIDE, f"image must have at least {_LEAST_SIDE} pixels a side, got {image.size}"
        )


@check("synthesizer")
def images_tell_how_they_were_made(bench: Bench) -> None:
    """An image tells its request's seed, the prompt as used and the words that were cut."""
    for made, request in zip(bench.results, bench.items(), strict=False):
        if isinstance(made, SyntheticImage):
            expect(made.seed == request.seed, f"the request's seed is {request.seed}, the image says {made.seed!r}")
            expect(isinstance(made.prompt, str), f"prompt must be text, got {type(made.prompt).__name__}")
            words = isinstance(made.dropped, tuple) and all(isinstance(word, str) for word in made.dropped)
            expect(words, f"dropped must be a tuple of words, got {made.dropped!r}")


@check("synthesizer")
def details_are_plain(bench: Bench) -> None:
    """details are JSON-plain, so that the ledger can keep them."""
    for made in bench.done():
        try:
            json.dumps(dict(made.details), allow_nan=False)
        except (TypeError, ValueError) as error:
            expect(False, f"details must be JSON-plain: {error}")


@check("synthesizer")
def the_seed_decides(bench: Bench) -> None:
    """Another seed gives another image: repetitions of a run vary it."""
    bench.done()
    for offset in (1_000, 2_000, 3_000):
        others = _images(bench, partial(_reseeded, offset))
        if any(not same(one, other) for one, other in zip(_pixels(bench.results), others, strict=True)):
            return
    expect(False, "three other seeds gave the same images")


@check("synthesizer", when=lambda plugin: "prompt" not in plugin.uses)
def reads_no_prompt_that_it_does_not_declare(bench: Bench) -> None:
    """Without "prompt" in uses, another prompt gives the same image: arms are compared by what is read."""
    _unread(bench, "prompt", lambda request: replace(request, prompt=f"a drawing of a {request.label} at night"))


@check("synthesizer", when=lambda plugin: "guidance" not in plugin.uses)
def reads_no_guidance_that_it_does_not_declare(bench: Bench) -> None:
    """Without "guidance" in uses, other guidance gives the same image."""
    _unread(bench, "guidance", lambda request: replace(request, guidance={"backdrop_colour": "#101010", "size": 0.9}))


@check("synthesizer", when=lambda plugin: "image" not in plugin.uses)
def reads_no_image_that_it_does_not_declare(bench: Bench) -> None:
    """Without "image" in uses, another source image gives the same image."""
    source = Image.new("RGB", (32, 32), "olive")
    _unread(bench, "image", lambda request: replace(request, source=source))


@check("synthesizer")
def bears_a_request_that_asks_for_little(bench: Bench) -> None:
    """A request without prompt, guidance, source or explanation gives an image, or a Failure that says why."""
    bare = [SynthesisRequest("0" * 16, 0, "", request.label, request.seed) for request in bench.items()]
    made = bench.work(bench.plugin, bare)
    wrong = [type(result).__name__ for result in made if not isinstance(result, SyntheticImage | Failure)]
    expect(not wrong and len(made) == len(bare), f"{len(bare)} bare requests give {wrong or len(made)}")


def _reseeded(offset: int, request: SynthesisRequest) -> SynthesisRequest:
    return replace(request, seed=request.seed + offset)


def _unread(bench: Bench, name: str, change: Callable[[SynthesisRequest], SynthesisRequest]) -> None:
    changed = _images(bench, change)
    expect(same(changed, _pixels(bench.results)), f"it reads the {name}; say so: uses = frozenset({{{name!r}, ...}})")


def _images(bench: Bench, change: Callable[[SynthesisRequest], SynthesisRequest]) -> list[Any]:
    return _pixels(bench.work(bench.plugin, [change(request) for request in bench.items()]))


def _pixels(made: list[Any]) -> list[Any]:
    return [None if isinstance(result, Failure) else result.image for result in made]
