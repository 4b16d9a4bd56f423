"""Class-name and random prompts in place of a critic's: controls that show whether the critic matters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..records import Critique, ImageSource, derive_seed, label_to_words

COLOURS = {
    "red": "#c0392b",
    "orange": "#e67e22",
    "yellow": "#f1c40f",
    "green": "#27ae60",
    "blue": "#2980b9",
    "purple": "#8e44ad",
    "pink": "#e991b5",
    "brown": "#7b4a2b",
    "black": "#1c1c1c",
    "grey": "#7f8c8d",
    "white": "#f4f4f4",
}
PLACES = ("left", "centre", "right", "top", "bottom")
CHANCE = 0.2  # of each property that a critic asks for only now and then


def apply_source_prompts(critique: Critique, source: ImageSource, label: str, case_id: str, seed: int) -> Critique:
    """The critique with prompt and guidance as the source has them.

    Args:
        critique: the critic's; of a source without one only the label counts.
        source: decides whose words they are.
        label: name of the true class.
        case_id: decides random guidance, together with the seed.
        seed: of the run.
    """
    guidance = dict(critique.guidance) if source.guidance == "critic" else {}
    prompt = critique.prompt if source.prompt == "critic" else f"a photo of a {label_to_words(label)}"
    if source.guidance == "random":
        guidance, sentence = _draw_prompt(label, derive_seed("random guidance", seed, case_id))
        prompt = sentence if source.prompt == "none" else prompt
    return replace(critique, prompt=prompt, guidance=guidance)


def class_name_critique(label: str) -> Critique:
    """The critique of a source that asks no critic."""
    return Critique(cause="No critic was asked.", prompt=f"a photo of a {label_to_words(label)}")


def _draw_prompt(label: str, seed: int) -> tuple[dict[str, str | float], str]:
    rng = np.random.default_rng(seed)
    subject, backdrop = (str(rng.choice(list(COLOURS))) for _ in range(2))
    guidance: dict[str, str | float] = {"subject_colour": COLOURS[subject], "backdrop_colour": COLOURS[backdrop]}
    sentence = [f"a photo of a {subject} {label_to_words(label)} on a {backdrop} background"]
    light, size, place = rng.uniform(0.2, 0.9), rng.uniform(0.1, 0.6), str(rng.choice(PLACES))
    if rng.random() < CHANCE:
        guidance["brightness"] = round(float(light), 2)
        sentence.append("in dim light" if light < 0.5 else "in bright light")
    if rng.random() < CHANCE:
        guidance["size"] = round(float(size), 2)
        sentence.append("small" if size < 0.3 else "large")
    if rng.random() < CHANCE:
        guidance["place"] = place
        sentence.append("in the centre" if place == "centre" else f"at the {place}")
    return guidance, ", ".join(sentence)
