"""Parses a model's answers: the schema of a critique, and the rules for a prompt."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...records import Critique, label_to_words
from ...records.case import ATTENDED
from ._answer_text import UnusableError, declines, find_objects, nested_objects, shorten, to_line

LONGEST = 20_000  # characters of an answer that are read
CAUSE, LINE, EVIDENCE, PROMPT = 600, 300, 5, 1_000  # characters that are kept; of evidence, lines
PLACES = ("left", "centre", "right", "top", "bottom", "top-left", "top-right", "bottom-left", "bottom-right")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _optional(kind: str, description: str, **more: Any) -> dict[str, Any]:
    return {"anyOf": [{"type": kind, **more}, {"type": "null"}], "description": description}


# Both services require every property to be required and no others, and support no ranges: those are checked here.
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
                "subject_colour": _optional("string", "#rrggbb"),
                "backdrop_colour": _optional("string", "#rrggbb"),
                "brightness": _optional("number", "0 dark to 1 bright"),
                "sharpness": _optional("number", "0 blurred to 1 sharp"),
                "size": _optional("number", "subject's share of the image, 0 to 1"),
                "place": _optional("string", "of the subject", enum=list(PLACES)),
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


def describe_form(schema: Mapping[str, Any]) -> str:
    """The form of the answer in words, for a model that is not bound to its schema."""
    return f"Answer with one JSON object like this, and nothing else: {schema_example(schema)}"


def schema_example(schema: Mapping[str, Any]) -> str:
    """The schema of an object as an example in JSON: each value describes the content of its field."""
    return json.dumps(_example(schema), ensure_ascii=False)


def _example(schema: Mapping[str, Any]) -> Any:
    if "anyOf" in schema:
        return f"{_example({'description': schema['description'], **schema['anyOf'][0]})} or null"
    if "enum" in schema:
        return " | ".join(schema["enum"])
    if schema["type"] == "object":
        return {name: _example(part) for name, part in schema["properties"].items()}
    description = schema.get("description", schema["type"])
    if schema["type"] == "boolean":
        description = f"true or false: {description}"
    return [description] if schema["type"] == "array" else description


def parse_critique(text: str) -> Critique:
    """The critique in the last complete JSON object of a text, which models often surround by others.

    Raises:
        UnusableError: there is no such object, or a field is missing or of the wrong type.
    """
    found = [one for outer in find_objects(text) for one in nested_objects(outer)]
    if not found:
        raise UnusableError("bad reply", "there is no whole JSON object in it")
    required = SCHEMA["required"]
    whole = [one for one in found if all(name in one for name in required)]
    if not whole:
        whole = [max(found, key=lambda one: sum(name in one for name in required))]
    fault: UnusableError | None = None
    for fields in reversed(whole):
        try:
            return _to_critique(fields)
        except UnusableError as error:
            fault = fault or error
    raise fault or UnusableError("bad reply", "there is no whole JSON object in it")


def _to_critique(fields: Mapping[str, Any]) -> Critique:
    missing = [name for name in SCHEMA["required"] if name not in fields]
    if missing:
        raise UnusableError("bad reply", f"the fields {', '.join(missing)} are missing")
    if isinstance(fields["prompt"], str) and declines(fields["prompt"]):
        raise UnusableError("refusal", f"the model declined: {shorten(fields['prompt'], CAUSE)}", repairable=False)
    evidence = fields["evidence"]
    if not isinstance(evidence, list):
        raise UnusableError("bad reply", f"evidence must be a list of sentences, got {_type_name(evidence)}")
    if fields["attended"] not in ATTENDED:
        raise UnusableError("bad reply", f"attended must be one of {', '.join(ATTENDED)}")
    suspect = fields["label_suspect"]
    if not isinstance(suspect, bool):
        raise UnusableError("bad reply", f"label_suspect must be true or false, got {_type_name(suspect)}")
    return Critique(
        cause=_parse_text(fields, "cause", CAUSE),
        prompt=to_line(_parse_text(fields, "prompt", LONGEST)),
        attended=fields["attended"],
        difficulty=_parse_text(fields, "difficulty", CAUSE, empty=True),
        evidence=tuple(shorten(line, LINE) for line in map(_to_sentence, evidence[:EVIDENCE]) if line.strip()),
        label_suspect=suspect,
        confidence=_parse_share(fields["confidence"], "confidence"),
        guidance=_parse_guidance(fields["guidance"]),
    )


def _to_sentence(line: Any) -> str:
    """An observation; models also give it as an object with a text."""
    texts = line.values() if isinstance(line, Mapping) else [line]
    return next((text for text in texts if isinstance(text, str)), "")


def _parse_text(fields: Mapping[str, Any], name: str, most: int, *, empty: bool = False) -> str:
    value = fields[name]
    if not isinstance(value, str) or not (value.strip() or empty):
        raise UnusableError("bad reply", f"{name} must be a text, got {_type_name(value)}")
    return shorten(value, most)


def _parse_share(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise UnusableError("bad reply", f"{name} must be a number from 0 to 1, got {_type_name(value)}")
    return float(value)


def _parse_guidance(value: Any) -> dict[str, str | float]:
    """The valid entries: each is optional, so an invalid one is dropped."""
    if not isinstance(value, dict):
        raise UnusableError("bad reply", f"guidance must be an object, got {_type_name(value)}")
    guidance: dict[str, str | float] = {}
    for name in ("subject_colour", "backdrop_colour"):
        colour = value.get(name)
        if isinstance(colour, str) and _COLOUR.fullmatch(colour):
            guidance[name] = colour.lower()
    for name in ("brightness", "sharpness", "size"):
        share = value.get(name)
        if isinstance(share, int | float) and not isinstance(share, bool) and math.isfinite(share) and 0 <= share <= 1:
            guidance[name] = float(share)
    if value.get("place") in PLACES:
        guidance["place"] = value["place"]
    return guidance


def _type_name(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(value)) or f"{value!r}"[:30]


WORDS = 100  # of a prompt
_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*-?|[^\w\s]")  # a word keeps a hyphen that follows it
_COMPARING = {"like", "resembling", "resembles", "resemble", "mimicking", "unlike", "than", "similar"}
# Words that may follow a noun that names the subject; another noun would make it a modifier ("a dog bed").
_FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an the and or but nor in on at by of with without to from into onto under over beside near behind before "
        "between against along among around across above below inside outside while when where whose who which that "
        "is are was has have its their his her this these facing seen shown next",
    )
)


@dataclass(frozen=True)
class PromptCheck:
    """The rules for a prompt.

    Attributes:
        labels: names of all classes.
        count_tokens: counts the tokens of a prompt; None without a limit.
        token_limit: maximum number of tokens that the image generator reads.
    """

    labels: Sequence[str] = ()
    count_tokens: Callable[[str], int] | None = None
    token_limit: int | None = None

    def __call__(self, prompt: str, label: str) -> str:
        """The prompt, if it follows the rules.

        Raises:
            UnusableError: it shows another class, does not name the true one, or is too long.
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
        named = list(_find_classes(prompt, label, self.labels))
        # Scripts without spaces between words cannot be split into words.
        unspaced = not label.isascii() and label.casefold() in prompt.casefold()
        if label not in (name for name, _ in named) and not unspaced:
            raise UnusableError("bad prompt", f"the prompt must name the class {label_to_words(label)!r}")
        for name, is_shown in named:
            if is_shown and name != label:
                other, own = label_to_words(name), label_to_words(label)
                raise UnusableError("bad prompt", f"the prompt shows a {other!r}; the only class in it must be {own!r}")
        return prompt


def _find_classes(prompt: str, label: str, labels: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """The classes that a prompt names, each with whether it is shown, and not a comparison or a modifier."""
    tokens = _split_words(prompt)
    stems = [_stem(token) for token in tokens]
    forms = [(form, name) for name in {label, *labels} for form in _label_forms(name)]
    # Longest first: "tabby cat" is that class and not "cat". Of two classes with the same form the true one is meant.
    forms.sort(key=lambda entry: (-len(entry[0]), entry[1] != label, entry[1]))
    start = 0
    while start < len(tokens):
        match = next((entry for entry in forms if tuple(stems[start : start + len(entry[0])]) == entry[0]), None)
        if match is not None:
            yield match[1], _is_shown(tokens, start, start + len(match[0]))
        start += len(match[0]) if match else 1


def _split_words(text: str) -> list[str]:
    return [token.casefold() for token in _TOKEN.findall(text)]


def _label_forms(label: str) -> list[tuple[str, ...]]:
    """The forms of a label in words: "tabby, tabby cat" has two; a leading number (as in "003.ant") is dropped."""
    parts = [label_to_words(part) for part in label.split(",")]
    names = [re.sub(r"^\W*n?\d{2,}\W+", "", part) or part for part in parts]
    return [form for name in names if (form := tuple(_stem(word) for word in _split_words(name)))]


def _stem(word: str) -> str:
    """The singular, roughly: stems are only compared with each other."""
    word = re.sub(r"['’]s$", "", word.rstrip("-"))
    for ending, singular in (("ies", "y"), ("sses", "ss"), ("shes", "sh"), ("ches", "ch"), ("xes", "x")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word[: -len(ending)] + singular
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


def _is_shown(tokens: Sequence[str], start: int, end: int) -> bool:
    """Whether the noun is shown: no comparison ("like a dog") and not before another noun ("a dog bed")."""
    if any(token in _COMPARING for token in tokens[max(0, start - 3) : start]):
        return False
    if tokens[end - 1].endswith(("-", "'s", "’s", "s'", "s’")):
        return False
    following = tokens[end] if end < len(tokens) else "."
    if not following[0].isalnum() or following in _FUNCTION_WORDS:
        return True
    return len(following) > 4 and following.endswith(("ing", "ed"))  # "sitting", and no "bed"
