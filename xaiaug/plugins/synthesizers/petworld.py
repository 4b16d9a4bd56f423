"""The synthesizer of the drawn world: draws most of what a prompt asks for, in another style."""

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
    """Draws cats and dogs from the prompt only; guidance and source image are not used.

    It simulates a text-to-image model: its style differs from that of the training images, and it ignores each request
    except the animal with some probability.

    Args:
        prior: distribution of what a prompt leaves open: as in the training images ("biased"), or "uniform".
        ignore: probability that a request is ignored, 0 to 1.

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
        """One drawing a request; a Failure if the prompt does not name the animal of the label."""
        return [self._one(request) for request in requests]

    def _one(self, request: SynthesisRequest) -> SyntheticImage | Failure:
        prompt = parse_prompt(request.prompt)
        if failure := _find_mismatch(prompt, request.label):
            return failure
        rng = np.random.default_rng(request.seed)
        ignored = tuple(name for name in sorted(prompt.fields) if rng.random() < self.ignore)
        kept = prompt.drop(ignored)
        scene = apply_prompt(sample_scene(rng, prompt.animals[0], PRIORS[self.prior], kept), kept, rng)
        scene = replace(scene, style="crayon")
        return SyntheticImage(draw(scene), request.seed, request.prompt, details=_details(prompt, ignored, scene))


def _find_mismatch(prompt: ParsedPrompt, label: str) -> Failure | None:
    """Why the prompt cannot give a training image of that label; None if it can."""
    wanted = parse_prompt(label).animals
    if not wanted:
        return Failure("unknown-class", f"petworld draws {' and '.join(LABELS)} only, the label is {label!r}")
    if not prompt.animals:
        return Failure("no-class", f"the prompt names neither {' nor '.join(LABELS)}; it should name {label!r}")
    if prompt.animals[0] != wanted[0]:
        return Failure("wrong-class", f"the prompt asks for a {prompt.animals[0]}, the label is {label!r}")
    return None


def _details(prompt: ParsedPrompt, ignored: Sequence[str], scene: Scene) -> dict[str, JSON]:
    return {
        "wished": dict(prompt.wanted),
        "unwanted": {name: sorted(values) for name, values in prompt.unwanted.items()},
        "ignored": list(ignored),
        "drawn": {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(scene).items()},
    }
