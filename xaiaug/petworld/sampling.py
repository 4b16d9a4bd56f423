"""Draws lots: scenes with or without the planted shortcut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .anatomy import OTHERS
from .bodies import POSES
from .palette import BACKDROPS, COATS, LABELS, Tone, names_of
from .scene import LIGHTS, Scene

BIAS = 0.97
"""Probability that a coat, or a backdrop, is one that goes with the label, where nothing else is said."""

UNBIASED = 0.5
"""The bias at which coat and backdrop say nothing about the label."""


@dataclass(frozen=True)
class Nuisances:
    """What varies without regard to the label; fields as in `Scene`."""

    light: str
    pose: str
    facing: str
    size: float
    place: tuple[float, float]
    blur: float
    detail: int


def nuisances(rng: np.random.Generator) -> Nuisances:
    """Light, pose, size, place and so on, at random."""
    return Nuisances(
        light=str(rng.choice(LIGHTS, p=(0.2, 0.6, 0.2))),
        pose=str(rng.choice(POSES)),
        facing=str(rng.choice(("left", "right"))),
        size=float(rng.uniform(0.52, 0.78)),
        place=(float(rng.uniform(0.34, 0.66)), float(rng.uniform(0.48, 0.7))),
        blur=float(rng.uniform(4, 12)) if rng.random() < 0.2 else 0.0,
        detail=int(rng.integers(2**31)),
    )


def tone(rng: np.random.Generator, tones: Mapping[str, Tone], label: str, bias: float) -> str:
    """Name of a tone that goes with the label with probability `bias`, else with the other label."""
    group = label if rng.random() < bias else LABELS[1 - LABELS.index(label)]
    return str(rng.choice(names_of(tones, group)))


def scenes(split_size: int, *, seed: int | list[int], bias: float) -> list[Scene]:
    """`split_size` scenes of cats and dogs, half and half, in random order.

    Args:
        split_size: how many.
        seed: the same seed gives the same scenes.
        bias: probability that the coat goes with the label, and, independently, that the backdrop does; 0.5: no bias.
    """
    rng = np.random.default_rng(seed)
    labels = rng.permutation([LABELS[i % len(LABELS)] for i in range(split_size)])
    return [_scene(rng, str(label), bias) for label in labels]


def _scene(rng: np.random.Generator, label: str, bias: float) -> Scene:
    coat, backdrop = tone(rng, COATS, label, bias), tone(rng, BACKDROPS, label, bias)
    return Scene(label, coat, backdrop, **vars(nuisances(rng)))


def other_scenes(count: int, *, seed: int) -> list[Scene]:
    """Scenes of animals other than cats and dogs, each as often as the next, in every coat and backdrop."""
    rng = np.random.default_rng(seed)
    coats, backdrops = tuple(COATS), tuple(BACKDROPS)
    return [
        Scene(OTHERS[i % len(OTHERS)], str(rng.choice(coats)), str(rng.choice(backdrops)), **vars(nuisances(rng)))
        for i in range(count)
    ]
