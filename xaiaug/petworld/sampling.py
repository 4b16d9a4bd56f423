"""Random scenes, with or without the planted shortcut."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import cycle, islice

import numpy as np

from .anatomy import OTHERS
from .bodies import POSES
from .palette import BACKDROPS, COATS, LABELS, Tone, names_of
from .scene import LIGHTS, NO_TAG, Scene
from .tag import CORNERS

BIAS = 0.92
"""Default share of images in which both coat and backdrop go with the label."""

UNBIASED = 0.25
"""The share at which coat and backdrop are independent of the label: all combinations are equally likely."""


@dataclass(frozen=True)
class Nuisances:
    """Attributes that are independent of the label; fields as in `Scene`."""

    light: str
    pose: str
    facing: str
    size: float
    place: tuple[float, float]
    blur: float
    detail: int


SIZES = (0.46, 0.70)
LARGER = (0.52, 0.78)
"""Sizes of cats and dogs, and of the other animals: larger, as subjects in pre-training often are."""


def sample_nuisances(rng: np.random.Generator, sizes: tuple[float, float] = SIZES) -> Nuisances:
    """Random light, pose, size, place and so on."""
    return Nuisances(
        light=str(rng.choice(LIGHTS, p=(0.2, 0.6, 0.2))),
        pose=str(rng.choice(POSES)),
        facing=str(rng.choice(("left", "right"))),
        size=float(rng.uniform(*sizes)),
        place=(float(rng.uniform(0.34, 0.66)), float(rng.uniform(0.48, 0.7))),
        blur=float(rng.uniform(4, 12)) if rng.random() < 0.2 else 0.0,
        detail=int(rng.integers(2**31)),
    )


def sample_tones(rng: np.random.Generator, label: str, bias: float, without: Collection[str] = ()) -> tuple[str, str]:
    """A random coat and backdrop for an animal with that label.

    Both go with the label with probability `bias`; else the coat, the backdrop, or both go with the other label, each
    with a third of the remaining probability. Names in `without` are excluded.
    """
    other = LABELS[1 - LABELS.index(label)]
    odd = ((other, label), (label, other), (other, other))
    groups = (label, label) if rng.random() < bias else odd[rng.integers(len(odd))]
    return _choose(rng, COATS, groups[0], without), _choose(rng, BACKDROPS, groups[1], without)


def _choose(rng: np.random.Generator, table: Mapping[str, Tone], label: str, without: Collection[str]) -> str:
    left = [name for name in names_of(table, label) if name not in without]
    return str(rng.choice(left or [name for name in table if name not in without] or list(table)))


def sample_scenes(
    split_size: int, *, seed: int | list[int], bias: float, tags: tuple[float, float] = (0.0, 0.0)
) -> list[Scene]:
    """Random scenes, half cats and half dogs, in random order.

    Args:
        split_size: number of scenes.
        seed: the same seed gives the same scenes.
        bias: share of images, 0 to 1, in which both coat and backdrop go with the label; in the others one or both go
            with the other label, with equal probabilities. `UNBIASED` means no bias.
        tags: share of the cats and of the dogs, 0 to 1, that have a yellow tag, in a random corner. The scenes are the
            same with and without tags otherwise.
    """
    rng = np.random.default_rng(seed)
    labels = rng.permutation([LABELS[i % len(LABELS)] for i in range(split_size)])
    scenes = [_sample_scene(rng, str(label), bias) for label in labels]
    return [replace(scene, tag=_sample_tag(rng, tags[LABELS.index(scene.animal)])) for scene in scenes]


def _sample_scene(rng: np.random.Generator, label: str, bias: float) -> Scene:
    coat, backdrop = sample_tones(rng, label, bias)
    return Scene(label, coat, backdrop, **vars(sample_nuisances(rng)))


def _sample_tag(rng: np.random.Generator, share: float) -> str:
    corner = str(rng.choice(CORNERS))
    return corner if rng.random() < share else NO_TAG


def sample_other_scenes(count: int, *, seed: int) -> list[Scene]:
    """Random scenes of the other animals, equally many of each, in all coats and backdrops."""
    rng = np.random.default_rng(seed)
    coats, backdrops = tuple(COATS), tuple(BACKDROPS)
    return [
        Scene(animal, str(rng.choice(coats)), str(rng.choice(backdrops)), **vars(sample_nuisances(rng, LARGER)))
        for animal in islice(cycle(OTHERS), count)
    ]
