"""The synthesizer of the drawn world: draws most of what a prompt's text asks for, in another hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np

from ...errors import ConfigError
from ...interfaces import Synthesizer
from ...petworld import BIAS, LABELS, UNBIASED, Scene, draw
from ...petworld.prompt_parser import ParsedPrompt, parse_prompt
from ...petworld.prompt_to_scene import apply_prompt, sample_scene
from ...records import JSON, Failure, SynthesisRequest, SyntheticImage

PRIORS: Mapping[str, float] = {"biased": BIAS, "uniform": UNBIASED}


class PetworldSynthesizer(Synthesizer):
    """Draws cats and dogs from the text of a prompt alone; guidance and source image are not read.

    It stands for a text-to-image model: its hand differs from that of the training images, and it ignores each wish
    but the animal now and then.

    Args:
        prior: what a prompt leaves open follows the training images ("biased") or nothing ("uniform").
        ignore: probability that a wish is ignored, 0 to 1.

    Raises:
        ConfigError: an unknown prior, or a probability out of its range.
    """

    uses = frozenset({"prompt"})
    drawn_world = True

    def __init__(self, prior: str = "biased", ignore: float = 0.2) -> None:
        if prior not in PRIORS:
            raise ConfigError(f"petworld: prior must be one of {', '.join(PRIORS)}, got {prior!r}")
        if not 0 <= ignore <= 1:
            raise ConfigError(f"petworld: ignore must lie in 0..1, got {ignore}")
        self.prior = prior
        self.ignore = ignore

    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[SyntheticImage | Failure]:
        """One drawing a request; a Failure where the prompt names no animal, or not that of the label."""
        return [self._one(request) for request in requests]

    def _one(self, request: SynthesisRequest) -> SyntheticImage | Failure:
        asked = parse_prompt(request.prompt)
        if failure := _mismatch(asked, request.label):
            return failure
        rng = np.random.default_rng(request.seed)
        ignored = tuple(name for name in sorted(asked.fields) if rng.random() < self.ignore)
        kept = asked.without(ignored)
        scene = apply_prompt(sample_scene(rng, asked.animals[0], PRIORS[self.prior], kept), kept, rng)
        scene = replace(scene, hand="crayon")
        return SyntheticImage(draw(scene), request.seed, request.prompt, details=_details(asked, ignored, scene))


def _mismatch(asked: ParsedPrompt, label: str) -> Failure | None:
    """Why no training image of that label can come of the prompt; None where one can."""
    wanted = parse_prompt(label).animals
    if not wanted:
        return Failure("unknown-class", f"petworld draws {' and '.join(LABELS)} only, the label is {label!r}")
    if not asked.animals:
        return Failure("no-class", f"the prompt names neither {' nor '.join(LABELS)}; it should name {label!r}")
    if asked.animals[0] != wanted[0]:
        return Failure("wrong-class", f"the prompt asks for a {asked.animals[0]}, the label is {label!r}")
    return None


def _details(asked: ParsedPrompt, ignored: Sequence[str], scene: Scene) -> dict[str, JSON]:
    return {
        "wished": dict(asked.wanted),
        "unwanted": {name: sorted(values) for name, values in asked.unwanted.items()},
        "ignored": list(ignored),
        "drawn": {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(scene).items()},
    }
