"""The checks a synthetic image must pass, one unit each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .duplicates import Memory
from .label_judge import JudgePredictions
from .similarity import ImageSignature

_LEAST_SIDE = 8
# A wall in the dark still varies by 3 or more grey levels; a decoder that met NaN gives 0.
_LEAST_DEVIATION = 2.0
# A judge that is right on 80 % of the mistakes is wrong on a fifth: only where it is sure does its word count.
_SURE = 0.8


@dataclass(frozen=True)
class Finding:
    """Why an image does not pass a check.

    Attributes:
        reason: what is wrong, for a person.
        score: the measure behind it, where there is one.
    """

    reason: str
    score: float | None = None


@dataclass(frozen=True, eq=False)
class Candidate:
    """An image that asks to be let in, with what several checks need of it.

    Attributes:
        image: the image.
        memory: the images it must not repeat.
        label: name of the class it was made for; None where nobody said.
        opinions: what a judge says of the images of this batch; None without a judge.
        place: its place in the batch.
    """

    image: Image.Image
    memory: Memory
    label: str | None = None
    opinions: JudgePredictions | None = None
    place: int = 0

    @cached_property
    def portrait(self) -> ImageSignature:
        """Its portrait; only for images that are not broken."""
        return ImageSignature.of(self.image)

    @cached_property
    def embedding(self) -> NDArray[np.float32] | None:
        """Its embedding, of length 1; None where nobody gives one."""
        if self.opinions is None or self.opinions.judge.alike is None:
            return None
        return self.opinions.embedding(self.place)


Check = Callable[[Candidate], Finding | None]


def broken(candidate: Candidate) -> Finding | None:
    """Whether it is no image that can be trained on: not RGB, tiny or not decodable."""
    image = candidate.image
    if not isinstance(image, Image.Image):
        return Finding(f"is no image but {type(image).__name__}")
    try:
        image.load()
    except (OSError, ValueError, SyntaxError) as error:
        return Finding(f"cannot be decoded ({error})")
    if image.mode != "RGB":
        return Finding(f"is {image.mode}, expected RGB")
    if min(image.size) < _LEAST_SIDE:
        return Finding(f"is {image.width} x {image.height} pixels, the least is {_LEAST_SIDE}", float(min(image.size)))
    return None


def nan(candidate: Candidate) -> Finding | None:
    """Whether it is black in every pixel, which is what becomes of a NaN in a decoder."""
    if max(high for _, high in candidate.image.getextrema()) == 0:  # type: ignore[misc]  # RGB has three pairs
        return Finding("is black in every pixel, as after a NaN in the decoder", 0.0)
    return None


def constant(candidate: Candidate) -> Finding | None:
    """Whether it shows nearly one colour alone."""
    values = np.asarray(candidate.image, dtype=np.float32)
    deviation = float(values.std(axis=(0, 1)).max())
    if deviation < _LEAST_DEVIATION:
        return Finding(f"is nearly one colour: its values deviate by {deviation:.2f} of 255", deviation)
    return None


def duplicate(candidate: Candidate) -> Finding | None:
    """Whether it repeats a real image of any split, by hashes and colours: no model looks at those."""
    found = candidate.memory.find_held(candidate.portrait)
    return Finding(f"repeats {found[0]}", found[1]) if found else None


def repeat(candidate: Candidate) -> Finding | None:
    """Whether it repeats a synthetic image that was kept before, by hashes and colours."""
    found = candidate.memory.find_seen(candidate.portrait)
    return Finding(f"repeats {found[0]}", found[1]) if found else None


def label(candidate: Candidate) -> Finding | None:
    """Whether it shows another class than it was made for, to a judge that is sure."""
    if candidate.opinions is None or not candidate.opinions.judge.admitted or candidate.label is None:
        return None
    judge, likely = candidate.opinions.judge, candidate.opinions.probabilities(candidate.place)
    best = int(likely.argmax())
    other, sure = judge.labels[best], float(likely[best])
    if other == candidate.label or sure < _SURE:
        return None
    text = f"was made as {candidate.label}; {judge.name} takes it for {other} with probability {sure:.2f}"
    return Finding(text, float(likely[judge.labels.index(candidate.label)]))


def alike(candidate: Candidate) -> Finding | None:
    """Whether it is as like a synthetic image that was kept before as no two training images are, to the judge."""
    if candidate.embedding is None or candidate.opinions is None or candidate.opinions.judge.alike is None:
        return None
    found = candidate.memory.find_alike(candidate.embedding, candidate.opinions.judge.alike)
    return Finding(f"looks as {found[0]} does to {candidate.opinions.judge.name}", found[1]) if found else None


CHECKS: Mapping[str, Check] = {
    "broken": broken,
    "nan": nan,
    "constant": constant,
    "duplicate": duplicate,
    "repeat": repeat,
    "label": label,
    "alike": alike,
}
