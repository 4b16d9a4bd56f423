"""Cases for critics, and answers such as a model gives."""

from __future__ import annotations

import random

import numpy as np
from PIL import Image

from xaiaug import panel
from xaiaug.records import Case, Explanation
from xaiaug.testing import Reply, Request

LABELS = ("cat", "dog")
CANARY = "sk-canary-0123456789abcdef"
PROMPT = (
    "A photo of a small grey cat curled up on the left side of an orange sofa, its face half hidden behind its tail, "
    "dim evening light from a window, soft shadows, a wooden floor in the foreground"
)
ANSWER = {
    "cause": "The model looked at the orange sofa, a backdrop that dogs usually have, and not at the animal.",
    "attended": "background",
    "difficulty": "The cat is small, lies in the shade and hides its face.",
    "evidence": ["the heat lies on the sofa's left arm", "the face of the cat is cold", "the coat is in the shade"],
    "label_suspect": False,
    "confidence": 0.8,
    "guidance": {
        "subject_colour": "#808080",
        "backdrop_colour": "#E08020",
        "brightness": 0.3,
        "sharpness": None,
        "size": 0.2,
        "place": "left",
    },
    "prompt": PROMPT,
}
ANALYSIS = (
    "The heat lies on the left arm of the orange sofa and on the window sill above it; the cat's grey face, its "
    "ears and its tail stay cold, so its build was not looked at. The cat is small and curled up in the shade, "
    "its coat is about as dark as the cushion behind it, and its pointed ears are hidden: what is left is a grey, "
    "rounded shape on a piece of furniture that this classifier seems to know from pictures of dogs. The colour "
    "of the coat is an even, cool grey with a lighter belly; the body is slender, the tail thin and laid around "
    "the paws."
)


class Still(random.Random):
    """No jitter: what is tried again is tried at once."""

    def uniform(self, a, b):
        return 0.0


def case(
    number: int = 0, *, label: str = "cat", predicted: str = "dog", mapped: bool = True, panel_side: int = 256
) -> Case:
    """A noisy image with a noisy map, always the same for a number."""
    generator = np.random.default_rng(number)
    image = Image.fromarray(generator.integers(0, 255, (64, 64, 3), dtype=np.uint8))
    heat = generator.random((64, 64), dtype=np.float32)
    seen = Explanation(heat, "attention-rollout", 1, True) if mapped else None
    drawn = panel.draw(image, seen, label=label, predicted=predicted, side=panel_side)
    return Case(f"case{number:04d}", image, drawn, label, predicted, np.array([0.2, 0.8], np.float32), seen)


def sensible(request: Request) -> Reply:
    """What a model that keeps to the rules answers, in either dialogue."""
    if request.schema is not None:
        return Reply(json=ANSWER)
    return Reply(ANALYSIS if request.turn == 1 else f'Prompt: "{PROMPT}"')
