"""Estimates the tokens and bytes of calls before any is made."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from PIL import Image

from ... import panel
from ...panel.sheet import MOST_CONTRAST, MOST_EXAMPLES
from ...records import Case, Estimate, Explanation, ImageToCheck, MistakeSlice, Sheet
from ._conversation import Dialogue, Question

CHARACTERS_PER_TOKEN = 4
FEWEST_PER_TOKEN = 2  # characters; no text takes more tokens in practice
STRUCTURE = 140  # tokens of a service's own instructions on a schema
ANSWER = {"structured": (100, 280), "paper": (160, 700), "image": (15, 60)}  # tokens that the templates ask for, in all
REPAIRS = 0.05  # maximum share of answers that have to be repeated
BYTES_PER_PIXEL = (0.2, 0.33)  # of our JPEGs; means over panels of photographs lie within
SPREAD = (0.97, 1.05)  # of token counts by characters


def max_usage(question: Question, pixels_per_token: int, reasoning_tokens: int = 0) -> dict[str, int]:
    """The maximum number of tokens one question can use, by kind.

    Args:
        question: what is asked.
        pixels_per_token: of an image.
        reasoning_tokens: tokens that the model may think beside the limit of the answer.
    """
    text, pixels = _size(question)
    input_tokens = text // FEWEST_PER_TOKEN + 2 * pixels // pixels_per_token + 2 * STRUCTURE
    return {"input_tokens": input_tokens, "output_tokens": question.max_tokens + reasoning_tokens}


def estimate_calls(
    dialogue: Dialogue, model: str, receiver: str, pixels_per_token: int, items: int, *, of: str = "mistake"
) -> Estimate:
    """Calls, tokens and uploaded bytes for that many items: a "mistake", a "slice" with its sheet, or a new "image"."""
    text, pixels = _size(_TYPICAL[of](dialogue))
    kind = "image" if of == "image" else dialogue.kind
    first = -(-text // CHARACTERS_PER_TOKEN) + -(-pixels // pixels_per_token)
    low, high = ANSWER[kind]
    calls, input_tokens = 1, (first, first + STRUCTURE)
    if kind == "paper":  # the second turn contains the first one and the analysis
        second = 2 * first + len(dialogue.texts["paper_prompt"]) // CHARACTERS_PER_TOKEN
        calls, input_tokens = 2, (second + low * 3 // 5, second + high * 3 // 5)
    repairs = 1 + REPAIRS
    return Estimate(
        calls=(calls * items, calls * items * repairs),
        input_tokens=(input_tokens[0] * items * SPREAD[0], input_tokens[1] * items * SPREAD[1] * repairs),
        output_tokens=(low * items, high * items * repairs),
        model=model,
        receiver=receiver,
        upload_bytes=(
            calls * items * (pixels * BYTES_PER_PIXEL[0] * 4 / 3 + text),
            calls * items * (pixels * BYTES_PER_PIXEL[1] * 4 / 3 + text) * repairs,
        ),
    )


def _size(question: Question) -> tuple[int, int]:
    """Characters and pixels of a question."""
    schema = len(json.dumps(question.schema)) if question.schema is not None else 0
    text = len(question.system) + sum(len(turn.text) for turn in question.turns) + schema
    sizes = [turn.picture.size for turn in question.turns if turn.picture is not None]
    return text, sum(width * height for width, height in sizes)


def _typical_case(dialogue: Dialogue) -> Case:
    """A square image with a map, and class names of typical length."""
    image = Image.new("RGB", (256, 256))
    heatmap = np.tile(np.linspace(0, 1, 256, dtype=np.float32), (256, 1))
    explanation = Explanation(heatmap, "attention-rollout", 0, False)
    label, predicted = "classname", "otherclass"
    references = dict.fromkeys((label, predicted), (image,) * dialogue.reference_images)
    drawn_panel = panel.draw(
        image,
        explanation,
        label=label,
        predicted=predicted,
        layout=dialogue.layout,
        side=dialogue.side,
        references=references,
    )
    return Case("", image, drawn_panel, label, predicted, np.zeros(2, np.float32), explanation, references=references)


def _typical_slice(dialogue: Dialogue, case: Case) -> Case:
    """As many images as a sheet shows, and a name of typical length."""
    name = "classname predicted as otherclass: without the grey spot in a corner that 90 % of the correct images have"
    of = MistakeSlice(name, "mark", case.label, case.predicted, 40, 30, 0.25, 0.1, 0.4, 0.9, 0.001, (), ())
    sheet = Sheet(of, 60, (case,) * MOST_EXAMPLES, (case.image,) * MOST_CONTRAST)
    drawn = panel.draw_sheet(sheet, case.label, layout=dialogue.layout, side=dialogue.side)
    return replace(case, panel=drawn, sheet=sheet)


def _typical_image(dialogue: Dialogue) -> Question:
    """A new image as large as a panel is wide, and a wish of typical length."""
    image = Image.new("RGB", (dialogue.side, dialogue.side))
    return dialogue.image_question(ImageToCheck("", image, "classname", "x" * 300))


_TYPICAL: dict[str, Callable[[Dialogue], Question]] = {
    "mistake": lambda dialogue: dialogue.first_question(_typical_case(dialogue)),
    "slice": lambda dialogue: dialogue.first_question(_typical_slice(dialogue, _typical_case(dialogue))),
    "image": _typical_image,
}
