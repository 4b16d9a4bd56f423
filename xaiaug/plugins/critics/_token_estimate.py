"""What calls will take, before any is made."""

from __future__ import annotations

import json

import numpy as np
from PIL import Image

from ... import panel
from ...records import Case, Estimate, Explanation
from ._conversation import Dialogue, Question

CHARACTERS_PER_TOKEN = 4
FEWEST_PER_TOKEN = 2  # no text takes more tokens than that in practice
STRUCTURE = 140  # tokens a service adds for its own instructions on a schema
ANSWER = {"structured": (100, 280), "paper": (160, 300)}  # tokens of an answer as the templates ask for; of both turns
REPAIRS = 0.05  # of the answers have to be given again, at most
BYTES_PER_PIXEL = (0.2, 0.33)  # of a JPEG as we make it; means over panels of photographs lie within
SPREAD = (0.97, 1.05)  # of token counts by characters


def most_used(question: Question, pixels_per_token: int) -> dict[str, int]:
    """The most tokens one question can use, by kind."""
    text, pixels = _extent(question)
    given = text // FEWEST_PER_TOKEN + 2 * pixels // pixels_per_token + 2 * STRUCTURE
    return {"input_tokens": given, "output_tokens": question.max_tokens}


def estimated(dialogue: Dialogue, model: str, receiver: str, pixels_per_token: int, items: int) -> Estimate:
    """What talks about so many cases will take."""
    text, pixels = _extent(dialogue.opening(_typical(dialogue)))
    opening = -(-text // CHARACTERS_PER_TOKEN) + -(-pixels // pixels_per_token)
    low, high = ANSWER[dialogue.kind]
    calls, given = 1, (opening, opening + STRUCTURE)
    if dialogue.kind == "paper":  # the second turn holds the first one whole, and the analysis
        wish = len(dialogue.texts["paper_prompt"]) // CHARACTERS_PER_TOKEN
        calls, given = 2, (2 * opening + wish + low * 3 // 5, 2 * opening + wish + high * 3 // 5)
    again = 1 + REPAIRS
    return Estimate(
        calls=(calls * items, calls * items * again),
        input_tokens=(given[0] * items * SPREAD[0], given[1] * items * SPREAD[1] * again),
        output_tokens=(low * items, high * items * again),
        model=model,
        receiver=receiver,
        upload_bytes=(
            calls * items * (pixels * BYTES_PER_PIXEL[0] * 4 / 3 + text),
            calls * items * (pixels * BYTES_PER_PIXEL[1] * 4 / 3 + text) * again,
        ),
    )


def _extent(question: Question) -> tuple[int, int]:
    """Characters and pixels of a question."""
    schema = len(json.dumps(question.schema)) if question.schema is not None else 0
    text = len(question.system) + sum(len(turn.text) for turn in question.turns) + schema
    sizes = [turn.picture.size for turn in question.turns if turn.picture is not None]
    return text, sum(width * height for width, height in sizes)


def _typical(dialogue: Dialogue) -> Case:
    """A square image with a map, and class names of usual length."""
    image = Image.new("RGB", (256, 256))
    seen = Explanation(np.tile(np.linspace(0, 1, 256, dtype=np.float32), (256, 1)), "attention-rollout", 0, False)
    label, predicted = "classname", "otherclass"
    drawn = panel.draw(image, seen, label=label, predicted=predicted, layout=dialogue.layout, side=dialogue.side)
    return Case("", image, drawn, label, predicted, np.zeros(2, np.float32), seen)
