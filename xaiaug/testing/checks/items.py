"""What plugins are tested with: small images, cases and requests that differ from one another."""

from __future__ import annotations

import functools

import numpy as np
from PIL import Image

from ...interfaces import Context, PaidCalls
from ...records import Case, Explanation, Sample, SynthesisRequest
from ..small import Drawing, small_splits

LABELS = ("cat", "dog")
SIZES = ((48, 40), (40, 48), (64, 64), (56, 40))
ATTENDED = ("background", "subject", "part", "background")
COLOURS = ("#c83c32", "#3250c8", "#3caa46", "#d2b428")


def images() -> list[Image.Image]:
    """Four RGB images of several sizes, of the first and the second class in turn."""
    return [Drawing(number % 2, 900 + number, *size, spread=20.0)() for number, size in enumerate(SIZES)]


@functools.cache  # equal to itself, so that a plugin that measures training images may know them again
def train() -> tuple[Sample, ...]:
    """Eight training images a class, of one size."""
    return tuple(small_splits({"train": 8}, LABELS, side=40, seed=7).train)


def context(paid: PaidCalls | None = None, *, training: bool = True) -> Context:
    """What the plugin is prepared with."""
    return Context(labels=LABELS, train=train() if training else None, paid=paid, device="cpu")


def cases(*, mapped: bool = True) -> list[Case]:
    """One mistake an image; with the map of the predicted class, or without any."""
    return [_case(number, image, mapped) for number, image in enumerate(images())]


def requests() -> list[SynthesisRequest]:
    """One whole request an image: prompt, guidance, source and explanation, each with a seed of its own."""
    return [
        SynthesisRequest(
            case_id=f"{number:016x}",
            index=number,
            prompt=f"a photo of a {LABELS[number % 2]} on a {colour} backdrop, in the {word}",
            label=LABELS[number % 2],
            seed=1000 + number,
            guidance={"backdrop_colour": colour, "brightness": 0.3 + number / 10},
            source=image,
            explanation=explanation(image, 1 - number % 2),
            attended=ATTENDED[number],
        )
        for number, (image, colour, word) in enumerate(
            zip(images(), COLOURS, ("morning", "rain", "snow", "evening"), strict=True)
        )
    ]


def explanation(image: Image.Image, target: int) -> Explanation:
    """A heatmap that is brightest in the middle of the image."""
    y, x = np.mgrid[-1 : 1 : image.height * 1j, -1 : 1 : image.width * 1j]
    return Explanation(np.exp(-2 * (x**2 + y**2)).astype(np.float32), "made-up", target, class_specific=True)


def _case(number: int, image: Image.Image, mapped: bool) -> Case:
    label, predicted = number % 2, 1 - number % 2
    panel = Image.new("RGB", (2 * image.width, image.height))
    panel.paste(image, (0, 0))
    panel.paste(image.convert("L").convert("RGB"), (image.width, 0))
    chance = np.full(2, 0.2 + number / 20, np.float32)
    chance[predicted] = 1 - chance[label]
    return Case(
        id=f"{number:016x}",
        image=image,
        panel=panel,
        label=LABELS[label],
        predicted=LABELS[predicted],
        probabilities=chance,
        explanation=explanation(image, predicted) if mapped else None,
        label_explanation=explanation(image, label) if mapped else None,
    )
