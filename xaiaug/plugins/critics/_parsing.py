"""The answer a model is bound to, and how a critique is made of it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ...records import Critique, label_to_words
from ...records.case import ATTENDED


class UnusableError(Exception):
    """A model's answer is of no use.

    Args:
        kind: one or two words, for a Failure: "refusal", "truncated", "empty", "too long", "bad reply", "bad prompt".
        reason: what is wrong with it; may be told to the model.
        mendable: whether the model may be asked to give it again.
    """

    def __init__(self, kind: str, reason: str, *, mendable: bool = True) -> None:
        super().__init__(kind, reason)
        self.kind = kind
        self.reason = reason
        self.mendable = mendable


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


WORDS = 100
_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*-?|[^\w\s]")  # a word keeps the hyphen behind it
_COMPARED = {"like", "resembling", "resembles", "resemble", "mimicking", "unlike", "than", "similar"}
# What may follow the noun that names the subject; another noun makes a modifier of it ("a dog bed").
_FUNCTION = frozenset(
    re.findall(
        r"\w+",
        "a an the and or but nor in on at by of with without to from into onto under over beside near behind before "
        "between against along among around across above below inside outside while when where whose who which that "
        "is are was has have its their his her this these facing seen shown next",
    )
)
_WRAPPED = re.compile(r"^(?:\W*)(?:(?:image|sdxl|stable diffusion|generation|final)\s+)*prompt\W*:\s*", re.IGNORECASE)


@dataclass(frozen=True)
class PromptCheck:
    """What a prompt must keep to.

    Attributes:
        labels: names of all classes.
        count_tokens: tokens a prompt takes; None where nobody counts.
        token_limit: most tokens that are read.
    """

    labels: Sequence[str] = ()
    count_tokens: Callable[[str], int] | None = None
    token_limit: int | None = None

    def __call__(self, prompt: str, label: str) -> str:
        """The prompt, when it can be used.

        Raises:
            UnusableError: it names another class or not the true one, or is too long.
        """
        words = len(prompt.split())
        if words > WORDS or len(prompt) > PROMPT:
            raise UnusableError("bad prompt", f"the prompt has {words} words; at most {WORDS} are allowed")
        if self.count_tokens is not None and self.token_limit is not None:
            tokens = self.count_tokens(prompt)
            if tokens > self.token_limit:
                raise UnusableError(
                    "bad prompt",
                    f"the prompt takes {tokens} tokens, and the image generator reads {self.token_limit}; shorten it",
                )
        named = list(_named(prompt, label, self.labels))
        # Scripts without spaces have no words to compare.
        unspaced = not label.isascii() and label.casefold() in prompt.casefold()
        if label not in (name for name, _ in named) and not unspaced:
            raise UnusableError("bad prompt", f"the prompt must name the class {label_to_words(label)!r}")
        for name, subject in named:
            if subject and name != label:
                raise UnusableError(
                    "bad prompt",
                    f"the prompt shows a {label_to_words(name)!r}; "
                    f"the only class in it must be {label_to_words(label)!r}",
                )
        return prompt


def read_prompt(text: str) -> str:
    """The prompt in an answer that should hold nothing else: without quotes, fences and a heading.

    Raises:
        UnusableError: nothing is left.
    """
    body = re.sub(r"^\s*```\w*\s*|\s*```\s*$", "", text)
    prompt = plain(_WRAPPED.sub("", body)).strip("\"'“”*` ")
    if not prompt:
        raise UnusableError("empty", "there is no prompt in it")
    return prompt


def _named(prompt: str, label: str, labels: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """The classes a prompt names, each with whether it is shown there and not merely compared with or a modifier."""
    tokens = _words(prompt)
    stems = [_stem(token) for token in tokens]
    forms = [(form, name) for name in {label, *labels} for form in _forms(name)]
    # "tabby cat" is that class and not "cat"; of two classes that sound the same the true one is meant.
    forms.sort(key=lambda one: (-len(one[0]), one[1] != label, one[1]))
    place = 0
    while place < len(tokens):
        found = next((one for one in forms if tuple(stems[place : place + len(one[0])]) == one[0]), None)
        if found is not None:
            yield found[1], _shown(tokens, place, place + len(found[0]))
        place += len(found[0]) if found else 1


def _words(text: str) -> list[str]:
    return [token.casefold() for token in _TOKEN.findall(text)]


def _forms(label: str) -> list[tuple[str, ...]]:
    """The ways to say a label: "tabby, tabby cat" is two, and a number before it (as in "003.ant") is none of it."""
    parts = [label_to_words(part) for part in label.split(",")]
    spoken = [re.sub(r"^\W*n?\d{2,}\W+", "", part) or part for part in parts]
    return [form for part in spoken if (form := tuple(_stem(word) for word in _words(part)))]


def _stem(word: str) -> str:
    """The singular, roughly: it is only ever compared with other stems."""
    word = re.sub(r"['’]s$", "", word.rstrip("-"))
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("shes", "sh"), ("ches", "ch"), ("xes", "x")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word[: -len(ending)] + instead
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


def _shown(tokens: Sequence[str], start: int, end: int) -> bool:
    """Whether the noun at that place is shown: not compared with ("like a dog"), nor before another ("a dog bed")."""
    if any(token in _COMPARED for token in tokens[max(0, start - 3) : start]):
        return False
    if tokens[end - 1].endswith(("-", "'s", "’s", "s'", "s’")):
        return False
    following = tokens[end] if end < len(tokens) else "."
    if not following[0].isalnum() or following in _FUNCTION:
        return True
    return len(following) > 4 and following.endswith(("ing", "ed"))  # "sitting", and no "bed"
