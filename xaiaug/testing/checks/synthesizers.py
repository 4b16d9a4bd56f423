"""Checks of synthesizers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from PIL import Image

from ...interfaces import Plugin, Synthesizer
from ...records import Explanation, Failure, SynthesisRequest, SyntheticImage
from .assertions import NotApplicableError, equal, expect
from .bench import Bench
from .check_registry import check

_SMALLEST_SIDE = 8  # curation rejects smaller images


def _has_fixed_images(plugin: type[Plugin]) -> bool:
    return issubclass(plugin, Synthesizer) and plugin.per_case is not None


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


@check("synthesizer", when=lambda plugin: not _has_fixed_images(plugin))
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


@check("synthesizer", when=lambda plugin: "map" not in plugin.uses)
def ignores_an_undeclared_map(bench: Bench) -> None:
    """Without "map" in uses, another heatmap gives the same image: arms with shuffled maps show what a map adds."""
    _expect_unused(bench, "map", lambda request: replace(request, explanation=_mirror(request.explanation)))


@check("synthesizer", when=_has_fixed_images)
def a_base_is_edited(bench: Bench) -> None:
    """An image made for another class than that of its source is its base with a part of the source."""
    bases = [replace(request, label=item.label, base=item.source) for request, item in _pair_up(bench.items())]
    if "another" not in (bench.plugin.per_case or ()):
        raise NotApplicableError("it makes images of the source's own class alone")
    for result, request in zip(bench.run(bench.plugin, bases), bases, strict=True):
        if isinstance(result, SyntheticImage):
            expect(
                result.image.size == _size_of(request.base),
                f"it must have the size of its base, {_size_of(request.base)}, got {result.image.size}",
            )


@check("synthesizer")
def handles_a_bare_request(bench: Bench) -> None:
    """A request without prompt, guidance, source or explanation gives an image, or a Failure with the reason."""
    bare = [SynthesisRequest("0" * 16, 0, "", request.label, request.seed) for request in bench.items()]
    results = bench.run(bench.plugin, bare)
    wrong = [type(result).__name__ for result in results if not isinstance(result, SyntheticImage | Failure)]
    expect(not wrong and len(results) == len(bare), f"{len(bare)} bare requests give {wrong or len(results)}")


def _size_of(image: Image.Image | None) -> tuple[int, int]:
    return (0, 0) if image is None else image.size


def _mirror(explanation: Explanation | None) -> Explanation | None:
    """The map upside down and with its values reversed, of the same size."""
    if explanation is None:
        return None
    heatmap = explanation.heatmap[::-1]
    return replace(explanation, heatmap=heatmap.max() - heatmap)


def _pair_up(requests: list[SynthesisRequest]) -> list[tuple[SynthesisRequest, SynthesisRequest]]:
    """Each request with the next one, of another class."""
    return list(zip(requests, [*requests[1:], *requests[:1]], strict=True))


def _shift_seed(offset: int, request: SynthesisRequest) -> SynthesisRequest:
    return replace(request, seed=request.seed + offset)


def _expect_unused(bench: Bench, name: str, change: Callable[[SynthesisRequest], SynthesisRequest]) -> None:
    unused = equal(_run_changed(bench, change), _images(bench.results))
    expect(unused, f"it uses the {name}; declare it: uses = frozenset({{{name!r}, ...}})")


def _run_changed(bench: Bench, change: Callable[[SynthesisRequest], SynthesisRequest]) -> list[Any]:
    return _images(bench.run(bench.plugin, [change(request) for request in bench.items()]))


def _images(results: list[Any]) -> list[Any]:
    return [None if isinstance(result, Failure) else result.image for result in results]
