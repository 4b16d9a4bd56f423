"""Cases for critics, and answers such as a model gives."""

from __future__ import annotations

import numpy as np
from PIL import Image

from xaiaug import panel
from xaiaug.records import Case, Explanation
from xaiaug.testing import Reply, Request

LABELS = ("cat", "dog")
PROMPT = "A photo of a grey cat curled up on an orange sofa, dim light from a window on the left"
ANSWER = {
    "cause": "The orange sofa behind the cat is a backdrop that dogs usually have.",
    "attended": "background",
    "difficulty": "The cat is small and lies in the shade.",
    "evidence": ["the heat lies on the sofa", "the face of the cat is cold"],
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
ANALYSIS = "The heat lies on the orange sofa; the cat's grey face stays cold, so its build was not looked at."


def case(number: int = 0, *, label: str = "cat", predicted: str = "dog", mapped: bool = True, side: int = 64) -> Case:
    """A noisy image with a noisy map, always the same for a number."""
    generator = np.random.default_rng(number)
    image = Image.fromarray(generator.integers(0, 255, (side, side, 3), dtype=np.uint8))
    heat = generator.random((side, side), dtype=np.float32)
    seen = Explanation(heat, "attention-rollout", 1, True) if mapped else None
    drawn = panel.draw(image, seen, label=label, predicted=predicted, side=256)
    return Case(f"case{number:04d}", image, drawn, label, predicted, np.array([0.2, 0.8], np.float32), seen)


def sensible(request: Request) -> Reply:
    """What a model that keeps to the rules answers, in either dialogue."""
    if request.schema is not None:
        return Reply(json=ANSWER)
    return Reply(ANALYSIS if request.turn == 1 else f'Prompt: "{PROMPT}"')
