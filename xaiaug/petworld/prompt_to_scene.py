"""From wishes to a scene: what was wished for is drawn, what was left open is drawn by lot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .bodies import POSES
from .prompt_parser import ParsedPrompt
from .sampling import sample_nuisances, sample_tones
from .scene import LIGHTS, Scene

SPANS = {"small": (0.36, 0.46), "medium": (0.54, 0.62), "large": (0.68, 0.8)}
BLURS = {"sharp": (0.0, 0.0), "blurred": (14.0, 24.0)}
ACROSS = {"left": (0.2, 0.32), "centre": (0.46, 0.54), "right": (0.68, 0.8)}
DOWN = {"top": (0.25, 0.38), "bottom": (0.68, 0.8)}
Spans = dict[str, tuple[float, float]]


def sample_scene(rng: np.random.Generator, animal: str, bias: float, wishes: ParsedPrompt) -> Scene:
    """A scene of the animal as in a split with that bias, without the coats and backdrops that are unwanted."""
    without = wishes.unwanted.get("coat", set()) | wishes.unwanted.get("backdrop", set())
    coat, backdrop = sample_tones(rng, animal, bias, without)
    return Scene(animal, coat, backdrop, **vars(sample_nuisances(rng)))


def apply_prompt(scene: Scene, wishes: ParsedPrompt, rng: np.random.Generator) -> Scene:
    """The scene, changed to what was wished for; numbers are drawn from the span that a word stands for."""
    wanted = {**_choose_alternatives(wishes, rng), **wishes.wanted}
    named = {name: wanted[name] for name in ("coat", "backdrop", "light", "facing", "pose") if name in wanted}
    x, y = scene.place
    measured = {
        "size": _sample_span(SPANS, wanted.get("size"), scene.size, rng),
        "blur": _sample_span(BLURS, wanted.get("focus"), scene.blur, rng),
        "place": (_sample_span(ACROSS, wanted.get("across"), x, rng), _sample_span(DOWN, wanted.get("down"), y, rng)),
    }
    return replace(scene, **named, **measured)  # type: ignore[arg-type]


def _sample_span(spans: Spans, word: str | None, otherwise: float, rng: np.random.Generator) -> float:
    return float(rng.uniform(*spans[word])) if word in spans else otherwise


_CHOICES: dict[str, tuple[str, ...]] = {
    "light": LIGHTS,
    "pose": POSES,
    "facing": ("left", "right"),
    "size": tuple(SPANS),
    "focus": tuple(BLURS),
    "across": tuple(ACROSS),
    "down": tuple(DOWN),
}


def _choose_alternatives(wishes: ParsedPrompt, rng: np.random.Generator) -> dict[str, str]:
    """Another word where only an unwanted one was given; coat and backdrop are seen to by `sample_scene`."""
    chosen = {}
    for name in sorted(set(wishes.unwanted) & set(_CHOICES) - set(wishes.wanted)):
        left = [word for word in _CHOICES[name] if word not in wishes.unwanted[name]]
        if left:
            chosen[name] = str(rng.choice(left))
    return chosen
