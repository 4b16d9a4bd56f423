"""The items plugins are checked with: small images, cases and requests that differ from one another."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
from PIL import Image

from ...interfaces import Context, PaidCalls
from ...records import Case, Explanation, Sample, SynthesisRequest
from ..small import Ellipse, small_splits

LABELS = ("cat", "dog")
SIZES = ((48, 40), (40, 48), (64, 64), (56, 40))
ATTENDED = ("background", "subject", "part", "background")
COLOURS = ("#c83c32", "#3250c8", "#3caa46", "#d2b428")
TIMES = ("morning", "rain", "snow", "evening")


def make_context(paid: PaidCalls | None = None, *, training: bool = True) -> Context:
    """The context a plugin is prepared with."""
    return Context(labels=LABELS, train=train() if training else None, paid=paid, device="cpu")


@functools.cache  # the same object every time, so that a plugin can recognize training images it has measured
def train() -> tuple[Sample, ...]:
    """Eight training images per class, all of one size."""
    return tuple(small_splits({"train": 8}, LABELS, side=40, seed=7).train)


def annotated() -> tuple[Sample, ...]:
    """The training images with two groups in each class, and a disc as the mask of each subject."""
    y, x = np.mgrid[-1:1:40j, -1:1:40j]
    disc = (np.hypot(y, x) < 0.6).astype(np.float32)
    return tuple(
        replace(sample, groups={"place": "indoor" if number % 4 < 2 else "outdoor"}, subject=disc.copy)
        for number, sample in enumerate(train())
    )


def make_images() -> list[Image.Image]:
    """Four RGB images of several sizes, alternating between the two classes."""
    return [Ellipse(number % 2, 900 + number, *size, spread=20.0)() for number, size in enumerate(SIZES)]


def make_cases(*, mapped: bool = True) -> list[Case]:
    """One mistake per image, with or without the heatmaps."""
    return [_make_case(number, image, mapped) for number, image in enumerate(make_images())]


def make_requests() -> list[SynthesisRequest]:
    """One complete request per image: prompt, guidance, source and explanation, each with its own seed."""
    return [
        SynthesisRequest(
            case_id=f"{number:016x}",
            index=number,
            prompt=f"a photo of a {LABELS[number % 2]} on a {colour} backdrop, in the {time}",
            label=LABELS[number % 2],
            seed=1000 + number,
            guidance={"backdrop_colour": colour, "brightness": 0.3 + number / 10},
            source=image,
            explanation=make_explanation(image, 1 - number % 2, in_corner=ATTENDED[number] == "background"),
            attended=ATTENDED[number],
        )
        for number, (image, colour, time) in enumerate(zip(make_images(), COLOURS, TIMES, strict=True))
    ]


def make_explanation(image: Image.Image, target: int, *, in_corner: bool = False) -> Explanation:
    """A heatmap that is brightest in the middle of the image, or in a corner."""
    y, x = np.mgrid[-1 : 1 : image.height * 1j, -1 : 1 : image.width * 1j]
    if in_corner:
        return Explanation(np.exp(-8 * ((x - 1) ** 2 + (y + 1) ** 2)).astype(np.float32), "made-up", target, True)
    return Explanation(np.exp(-2 * (x**2 + y**2)).astype(np.float32), "made-up", target, class_specific=True)


def _make_case(number: int, image: Image.Image, mapped: bool) -> Case:
    label, predicted = number % 2, 1 - number % 2
    panel = Image.new("RGB", (2 * image.width, image.height))
    panel.paste(image, (0, 0))
    panel.paste(image.convert("L").convert("RGB"), (image.width, 0))
    probabilities = np.full(2, 0.2 + number / 20, np.float32)
    probabilities[predicted] = 1 - probabilities[label]
    return Case(
        id=f"{number:016x}",
        image=image,
        panel=panel,
        label=LABELS[label],
        predicted=LABELS[predicted],
        probabilities=probabilities,
        explanation=make_explanation(image, predicted) if mapped else None,
        label_explanation=make_explanation(image, label) if mapped else None,
    )
