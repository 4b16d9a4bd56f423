"""From a parsed prompt to a scene: what the prompt leaves open is random."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .bodies import POSES
from .prompt_parser import ParsedPrompt
from .sampling import sample_nuisances, sample_tones
from .scene import LIGHTS, Scene

SIZES = {"small": (0.36, 0.46), "medium": (0.54, 0.62), "large": (0.68, 0.8)}
BLURS = {"sharp": (0.0, 0.0), "blurred": (14.0, 24.0)}
ACROSS = {"left": (0.2, 0.32), "centre": (0.46, 0.54), "right": (0.68, 0.8)}
DOWN = {"top": (0.25, 0.38), "bottom": (0.68, 0.8)}
Ranges = dict[str, tuple[float, float]]


def sample_scene(rng: np.random.Generator, animal: str, bias: float, prompt: ParsedPrompt) -> Scene:
    """A random scene of the animal as in a split with that bias, without excluded coats and backdrops."""
    without = prompt.unwanted.get("coat", set()) | prompt.unwanted.get("backdrop", set())
    coat, backdrop = sample_tones(rng, animal, bias, without)
    return Scene(animal, coat, backdrop, **vars(sample_nuisances(rng)))


def apply_prompt(scene: Scene, prompt: ParsedPrompt, rng: np.random.Generator) -> Scene:
    """The scene, changed to what the prompt requests; numbers are random within the range of a word."""
    wanted = {**_choose_alternatives(prompt, rng), **prompt.wanted}
    named = {name: wanted[name] for name in ("coat", "backdrop", "light", "facing", "pose") if name in wanted}
    x, y = scene.place
    measured = {
        "size": _sample_range(SIZES, wanted.get("size"), scene.size, rng),
        "blur": _sample_range(BLURS, wanted.get("focus"), scene.blur, rng),
        "place": (_sample_range(ACROSS, wanted.get("across"), x, rng), _sample_range(DOWN, wanted.get("down"), y, rng)),
    }
    return replace(scene, **named, **measured)  # type: ignore[arg-type]


def _sample_range(ranges: Ranges, word: str | None, otherwise: float, rng: np.random.Generator) -> float:
    return float(rng.uniform(*ranges[word])) if word in ranges else otherwise


_CHOICES: dict[str, tuple[str, ...]] = {
    "light": LIGHTS,
    "pose": POSES,
    "facing": ("left", "right"),
    "size": tuple(SIZES),
    "focus": tuple(BLURS),
    "across": tuple(ACROSS),
    "down": tuple(DOWN),
}


def _choose_alternatives(prompt: ParsedPrompt, rng: np.random.Generator) -> dict[str, str]:
    """Alternatives to excluded values; `sample_scene` handles coat and backdrop."""
    chosen = {}
    for name in sorted(set(prompt.unwanted) & set(_CHOICES) - set(prompt.wanted)):
        left = [word for word in _CHOICES[name] if word not in prompt.unwanted[name]]
        if left:
            chosen[name] = str(rng.choice(left))
    return chosen
