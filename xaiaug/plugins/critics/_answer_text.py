"""Finds the answer in what a model wrote: without its thinking, talk around it, code fences and control characters."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any


class UnusableError(Exception):
    """A model's answer cannot be used.

    Args:
        kind: one or two words, for a Failure: "refusal", "truncated", "interrupted", "empty", "too long", "bad reply",
            "bad prompt".
        reason: may be sent to the model.
        repairable: whether the model may be asked again.
    """

    def __init__(self, kind: str, reason: str, *, repairable: bool = True) -> None:
        super().__init__(kind, reason)
        self.kind = kind
        self.reason = reason
        self.repairable = repairable


TRIES = 40  # opening braces that are tried as the start of an object
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
# Marks that models put around their thinking, as opening and closing pairs.
_THOUGHTS = [(f"<{name}>", f"</{name}>") for name in ("think", "thinking", "thought", "reasoning", "seed:think")]
_THOUGHTS += [("◁think▷", "◁/think▷"), ("[THINK]", "[/THINK]")]
_CHANNEL = "<|channel|>"  # gpt-oss: of its channels only `final` is the answer
_BOXES = [("<|begin_of_box|>", "<|end_of_box|>"), ("<answer>", "</answer>")]
_TOKENS = re.compile(r"<\|[\w ]{1,30}\|>|</?s>|<(?:end_of_turn|eos|pad|bos)>|\[/?INST\]")


def find_answer(text: str) -> str:
    """The answer in a text: what follows the thinking, or stands in the box for it; empty if it is all thinking."""
    if _CHANNEL in text:
        head, final, tail = text.rpartition(f"{_CHANNEL}final")
        text = tail.partition("<|message|>")[2] if final else head
    for opening, closing in _THOUGHTS:
        text = text.rpartition(closing)[2]
        text = text.partition(opening)[0]  # never closed: it was still thinking
    for opening, closing in _BOXES:
        before, found, after = text.rpartition(opening)
        inside = after.partition(closing)[0].strip()
        text = inside if found and inside else f"{before}{after}" if found else text
    return _TOKENS.sub(" ", text).strip()


def find_objects(text: str) -> list[Mapping[str, Any]]:
    """The JSON objects in a text, in order; none that stands within another one."""
    decoder, found, start, misses = json.JSONDecoder(), list[Mapping[str, Any]](), text.find("{"), 0
    while start >= 0 and misses < TRIES:
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            misses, end = misses + 1, start + 1
        else:
            found.append(map_strings(value, strip_surrogates))
        start = text.find("{", end)
    return found


_TALK = r"(?:sure|certainly|of course|okay|ok|absolutely|great|here|below|based on|given|final|revised|updated)\b"
_KINDS = r"(?:(?:image|sdxl|stable diffusion|generation|text-to-image|final|positive|suggested|the|my)\s+)*"
_HEADING = re.compile(
    rf"^\W*(?:{_TALK}[^:\n]{{0,120}}?)?{_KINDS}\bprompt\b[^:.\n]{{0,60}}:\W*?(?=[\w\"'“*]|\s|$)", re.I | re.M
)
_NEGATIVE = re.compile(r"^\W*negative\s+prompt\b.*?(?=\n\s*\n|\Z)", re.I | re.M | re.S)
_OPENING = re.compile(
    rf"^\W*(?:{_TALK}|i (?:can|will|have|'ll)\b|i'll\b|to (?:improve|help|create|address)\b).*", re.I | re.S
)
_REMARK = re.compile(
    r"^\W*(?:(?:this|the|these|that|it)\s+(?:above |generated )?"
    r"(?:prompt|image|description|scene|details?|elements?)?\s*"
    r"(?:will|should|would|captures?|aims?|includes?|incorporates?|keeps?|maintains?|ensures?|retains?|mimics?|helps?"
    r"|is (?:designed|meant|intended)|focuses|emphasi[sz]es|reflects?|preserves?|challenges?)\b"
    r"|this prompt\b|note\b|explanation\b|rationale\b|word count\b|let me know\b|i hope\b|hope this\b|feel free\b"
    r"|if you\b|please let\b|would you\b|by (?:including|using|training)\b|\(?\d+ words\b)",
    re.I,
)
_SPOKEN = re.compile(
    r"\b(?:the user|let me|let's|i (?:need|should|will|must|think|have to)|i'll|okay|hmm|wait)\b", re.I
)


def parse_prompt(text: str) -> str:
    """The prompt in an answer that should contain nothing else: without heading, remarks, quotes and code fences.

    Raises:
        UnusableError: nothing is left, or there are several prompts.
    """
    body = _NEGATIVE.sub("", _unwrap_object(_unwrap_fence(text)))
    headed = [part for part in _HEADING.split(body)[1:] if part.strip("\"'“”*` \n")]
    if len(headed) > 1:
        raise UnusableError("bad prompt", "there are several prompts in it; answer with one")
    prompt = to_line(_drop_remarks(headed[0] if headed else body)).strip("\"'“”*` ")
    if not prompt:
        raise UnusableError("empty", "there is no prompt in it")
    return prompt


def parse_stray_prompt(text: str) -> str:
    """The prompt in what a model wrote elsewhere than in its answer, where it is nothing but that.

    Raises:
        UnusableError: the model thinks aloud there.
    """
    if _SPOKEN.search(text):
        raise UnusableError("empty", "the answer is empty: the model's thinking is not taken for one")
    return parse_prompt(text)


def _unwrap_fence(text: str) -> str:
    """What stands in the only code fence of a text, or the text."""
    fences = [inner for inner in re.findall(r"```[\w-]*\n?(.*?)```", text, re.S) if inner.strip()]
    return fences[0] if len(fences) == 1 else re.sub(r"```\w*", "", text)


def _unwrap_object(text: str) -> str:
    objects = find_objects(text)
    prompts = [one["prompt"] for one in objects if isinstance(one.get("prompt"), str)]
    return prompts[-1] if prompts else text


def _drop_remarks(text: str) -> str:
    """The text without the paragraphs before and sentences after it that speak to the reader."""
    parts = [part.strip() for part in re.split(r"\n\s*\n|\n(?=\W*---)", text) if part.strip("-*\n ")]
    if len(parts) == 1:
        first, _, rest = parts[0].partition("\n")
        parts = [first, rest] if rest and first.rstrip().endswith(":") else parts
    while len(parts) > 1 and (_OPENING.match(parts[0]) or parts[0].endswith(":")):
        parts = parts[1:]
    while len(parts) > 1 and _REMARK.match(parts[-1]):
        parts = parts[:-1]
    if not parts:
        return ""
    sentences = re.split(r"(?<=[.!?])[\"”]?\s+", parts[-1])
    kept = next((i for i in range(1, len(sentences)) if _REMARK.match(sentences[i])), len(sentences))
    return "\n".join([*parts[:-1], " ".join(sentences[:kept])])


def shorten(text: str, most: int) -> str:
    """Text on one line of at most that many characters, without control characters."""
    line = to_line(text)
    return line if len(line) <= most else f"{line[: most - 1]}…"


def to_line(text: str) -> str:
    """Text on one line, without control characters."""
    return " ".join(_CONTROL.sub(" ", text).split())


def nested_objects(value: Any, depth: int = 4) -> Iterator[Mapping[str, Any]]:
    """A JSON object, and those within it, the outer ones first."""
    if isinstance(value, Mapping):
        yield value
    if depth:
        for inner in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
            yield from nested_objects(inner, depth - 1)


def map_strings(value: Any, change: Callable[[str], str]) -> Any:
    """A JSON value with every string changed, names of objects included."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {change(name): map_strings(inner, change) for name, inner in value.items()}
    return [map_strings(inner, change) for inner in value] if isinstance(value, list) else value


def strip_surrogates(text: str) -> str:
    """A text without halves of surrogate pairs, which no encoding can send."""
    return text if text.isascii() else text.encode("utf-8", "ignore").decode()
