"""The yes/no question about a new image: its schema, its key, and how the answer is read."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...records import Case, ImageCheck, ImageToCheck
from ._answer_text import UnusableError, find_objects, nested_objects, shorten

REASON = 300  # characters that are kept
CHECK_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "reason": {"type": "string", "description": "what is missing or wrong, or that it fits; one sentence"},
        "shown": {"type": "boolean", "description": "whether the image shows what was wished for"},
    },
    "required": ["reason", "shown"],
    "additionalProperties": False,
}


def parse_check(text: str) -> ImageCheck:
    """The answer in the last JSON object of a text that has one.

    Raises:
        UnusableError: there is none, or it says neither yes nor no.
    """
    found = [one for outer in find_objects(text) for one in nested_objects(outer) if "shown" in one]
    if not found:
        raise UnusableError("bad reply", "there is no whole JSON object with the field shown in it")
    shown, reason = found[-1]["shown"], found[-1].get("reason")
    if not isinstance(shown, bool):
        raise UnusableError("bad reply", f"shown must be true or false, got {shown!r:.30}")
    return ImageCheck(shown, shorten(reason, REASON) if isinstance(reason, str) else "")


def to_case(image: ImageToCheck) -> Case:
    """The image as a case that is its own panel: dialogues are about cases."""
    return Case(image.id, image.image, image.image, image.label, image.label, np.zeros(0, np.float32))


def image_key(image: ImageToCheck, number: int) -> str:
    """The beginning of a call's key: the image, and the number of the question."""
    return f"check:{image.id}:{number}"
