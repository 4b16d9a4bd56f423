"""The checks a synthetic image must pass, one unit each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from .memory import Memory
from .portrait import Portrait

_LEAST_SIDE = 8
# A wall in the dark still varies by 3 or more grey levels; a decoder that met NaN gives 0.
_LEAST_DEVIATION = 2.0


@dataclass(frozen=True)
class Finding:
    """Why an image does not pass a check.

    Attributes:
        reason: what is wrong, for a person.
        score: the measure behind it, where there is one.
    """

    reason: str
    score: float | None = None


@dataclass
class Candidate:
    """An image that asks to be let in, with what several checks need of it.

    Attributes:
        image: the image.
        memory: the images it must not repeat.
    """

    image: Image.Image
    memory: Memory
    _portrait: Portrait | None = None

    @property
    def portrait(self) -> Portrait:
        """Its portrait, made once; only for images that are not broken."""
        if self._portrait is None:
            self._portrait = Portrait.of(self.image)
        return self._portrait


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


def constant(candidate: Candidate) -> Finding | None:
    """Whether it shows nearly one colour alone, as after a NaN in a decoder."""
    values = np.asarray(candidate.image, dtype=np.float32)
    deviation = float(values.std(axis=(0, 1)).max())
    if deviation < _LEAST_DEVIATION:
        return Finding(f"is nearly one colour: its values deviate by {deviation:.2f} of 255", deviation)
    return None


def duplicate(candidate: Candidate) -> Finding | None:
    """Whether it repeats a held image or an image that was kept before."""
    found = candidate.memory.find(candidate.portrait)
    if found is None:
        return None
    what, similarity = found
    return Finding(f"repeats {what}", similarity)


CHECKS: Mapping[str, Check] = {"broken": broken, "constant": constant, "duplicate": duplicate}
