"""The answer a model is bound to, and how a critique is made of it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

from ...records import Critique
from ...records.case import ATTENDED
from ._unusable import UnusableError

LONGEST = 20_000  # characters of an answer that are read at all
CAUSE, LINE, EVIDENCE, PROMPT = 600, 300, 5, 1_000  # characters that are kept; of evidence, lines
TRIES = 20  # braces that may begin the object
PLACES = ("left", "centre", "right", "top", "bottom", "top-left", "top-right", "bottom-left", "bottom-right")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _wish(kind: str, description: str, **more: Any) -> dict[str, Any]:
    return {"anyOf": [{"type": kind, **more}, {"type": "null"}], "description": description}


# Both services want every property required and no others, and know no ranges: those are checked here.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "cause": _text("likeliest cause of the mistake, one sentence"),
        "attended": {"type": "string", "enum": list(ATTENDED), "description": "what the model looked at"},
        "difficulty": _text("what makes this image hard in itself, one sentence"),
        "evidence": {"type": "array", "items": {"type": "string"}, "description": "1 to 3 short observations"},
        "label_suspect": {"type": "boolean", "description": "whether the true class itself looks wrong"},
        "confidence": {"type": "number", "description": "0 to 1, of the cause"},
        "guidance": {
            "type": "object",
            "properties": {
                "subject_colour": _wish("string", "#rrggbb"),
                "backdrop_colour": _wish("string", "#rrggbb"),
                "brightness": _wish("number", "0 dark to 1 bright"),
                "sharpness": _wish("number", "0 blurred to 1 sharp"),
                "size": _wish("number", "subject's share of the image, 0 to 1"),
                "place": _wish("string", "of the subject", enum=list(PLACES)),
            },
            "required": ["subject_colour", "backdrop_colour", "brightness", "sharpness", "size", "place"],
            "additionalProperties": False,
        },
        "prompt": _text("for the image generator"),
    },
    "required": [
        "cause",
        "attended",
        "difficulty",
        "evidence",
        "label_suspect",
        "confidence",
        "guidance",
        "prompt",
    ],
    "additionalProperties": False,
}


def read_critique(text: str) -> Critique:
    """The critique a JSON object tells; what stands around the object is left.

    Raises:
        UnusableError: there is no such object, or a field is missing or of the wrong type.
    """
    found = _object(text)
    missing = [name for name in SCHEMA["required"] if name not in found]
    if missing:
        raise UnusableError("bad reply", f"the fields {', '.join(missing)} are missing")
    evidence = found["evidence"]
    if not isinstance(evidence, list):
        raise UnusableError("bad reply", f"evidence must be a list of sentences, got {_kind(evidence)}")
    if found["attended"] not in ATTENDED:
        raise UnusableError("bad reply", f"attended must be one of {', '.join(ATTENDED)}")
    if not isinstance(found["label_suspect"], bool):
        raise UnusableError("bad reply", f"label_suspect must be true or false, got {_kind(found['label_suspect'])}")
    return Critique(
        cause=_said(found, "cause", CAUSE),
        prompt=plain(_said(found, "prompt", LONGEST)),
        attended=found["attended"],
        difficulty=_said(found, "difficulty", CAUSE, empty=True),
        evidence=tuple(capped(line, LINE) for line in evidence[:EVIDENCE] if isinstance(line, str) and line.strip()),
        label_suspect=found["label_suspect"],
        confidence=_share(found["confidence"], "confidence"),
        guidance=_guidance(found["guidance"]),
    )


def capped(text: str, most: int) -> str:
    """Text on one line, of at most so many characters, without control characters."""
    line = plain(text)
    return line if len(line) <= most else f"{line[: most - 1]}…"


def plain(text: str) -> str:
    """Text on one line, without control characters."""
    return " ".join(_CONTROL.sub(" ", text).split())


def _object(text: str) -> Mapping[str, Any]:
    """The first JSON object in a text: models without a schema like to talk around it."""
    decoder = json.JSONDecoder()
    for start in islice((match.start() for match in re.finditer(r"\{", text)), TRIES):
        try:
            found, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            return found
    raise UnusableError("bad reply", "there is no whole JSON object in it")


def _said(found: Mapping[str, Any], name: str, most: int, *, empty: bool = False) -> str:
    value = found[name]
    if not isinstance(value, str) or not (value.strip() or empty):
        raise UnusableError("bad reply", f"{name} must be a text, got {_kind(value)}")
    return capped(value, most)


def _share(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise UnusableError("bad reply", f"{name} must be a number from 0 to 1, got {_kind(value)}")
    return float(value)


def _guidance(found: Any) -> dict[str, str | float]:
    """The wishes that can be followed: each is optional, so a useless one is left out."""
    if not isinstance(found, dict):
        raise UnusableError("bad reply", f"guidance must be an object, got {_kind(found)}")
    kept: dict[str, str | float] = {}
    for name in ("subject_colour", "backdrop_colour"):
        if isinstance(found.get(name), str) and _COLOUR.fullmatch(found[name]):
            kept[name] = found[name].lower()
    for name in ("brightness", "sharpness", "size"):
        value = found.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value <= 1:
            kept[name] = float(value)
    if found.get("place") in PLACES:
        kept["place"] = found["place"]
    return kept


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(value)) or f"{value!r}"[:30]
