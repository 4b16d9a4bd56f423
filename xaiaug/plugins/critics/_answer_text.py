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
# Marks that models put around their thinking, such as <think>, <|START_THINKING|>, ◁think▷ and [THINK].
_THOUGHT = r"(?:\w{1,30}[:_])?(?:think(?:ing)?|thoughts?|reasoning|reflection|scratchpad|(?:internal_)?monologue)"
_OPEN_THOUGHT = re.compile(
    rf"<{_THOUGHT}>|<\|(?:begin_of_|start_)?{_THOUGHT}\|>|◁think▷|\[THINK\]|<unused94>|<\|channel>thought", re.I
)
_END_THOUGHT = re.compile(
    rf"</{_THOUGHT}>|<\|(?:/|end_of_|end_){_THOUGHT}\|>|◁/think▷|\[/THINK\]|<unused95>|<channel\|>", re.I
)
_CHANNEL = "<|channel|>"  # gpt-oss: of its channels only `final` is the answer
_BOXES = [("<|begin_of_box|>", "<|end_of_box|>"), ("<answer>", "</answer>")]
# Ends the message: what follows is a message that the model invented.
_END = re.compile(
    r"<[|｜](?:im_end|endoftext|eot_id|end_of_text|end_of_turn_token|return|end[▁_]of[▁_]sentence)[|｜]>"
    r"|<end_of_turn>|<eos>|</s>",
    re.I,
)
_TOKENS = re.compile(r"<\|[\w ]{1,30}\|>|</?s>|<(?:end_of_turn|eos|pad|bos)>|\[/?INST\]")


def find_answer(text: str) -> str:
    """The answer in a text: what follows the thinking, or stands in the box for it; empty if it is all thinking."""
    if _CHANNEL in text:
        head, final, tail = text.rpartition(f"{_CHANNEL}final")
        text = tail.partition("<|message|>")[2] if final else head
    text = _END_THOUGHT.split(text)[-1]
    text = _OPEN_THOUGHT.split(text)[0]  # never closed: it was still thinking
    text = next((part for part in _END.split(text) if part.strip()), "")
    for opening, closing in _BOXES:
        before, found, after = text.rpartition(opening)
        inside = after.partition(closing)[0].strip()
        text = inside if found and inside else f"{before}{after}" if found else text
    return _TOKENS.sub(" ", text).strip()


def find_objects(text: str) -> list[Mapping[str, Any]]:
    """The JSON objects in a text, in order; none that stands within another one."""
    decoder = json.JSONDecoder(strict=False)  # line breaks within texts are read
    found, start, misses = list[Mapping[str, Any]](), text.find("{"), 0
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
    rf"^\W{{0,20}}(?:{_TALK}[^:\n]{{0,120}}?)?{_KINDS}\bprompt\b"
    rf"(?:[^:.\n]{{0,60}}:\W{{0,20}}?(?=[\w\"'“*]|\s|$)|\W{{0,20}}=|[*_ ]*\n[-=\s>]*)",
    re.I | re.M,
)
_NEGATIVE = re.compile(
    r"(?:^|(?<=[.!?\"”*)\]])\s)\W{0,20}negative(?:\s+prompts?\b|\W{0,3}:).*?(?=\n\s*\n|\Z)", re.I | re.M | re.S
)
_FLAGS = re.compile(r"\s--(?:ar|v|no|s|q|style|stylize|niji|chaos|seed|iw|raw)\b.*", re.I | re.S)  # of Midjourney
_SEVERAL = re.compile(
    r"^\W{0,20}(?:(?:option|variant|variation|version|alternative)\W{0,3}(?:\d+|[a-d])\b|\d+[.)]\s)", re.I | re.M
)
_TAGGED = re.compile(r"<(\w*prompt|output|result|response|solution)>\s*(.*?)\s*</\1>", re.I | re.S)
_QUOTED = re.compile(r"\W{0,20}[\"“]([^\"“”]{10,})[\"”]\W{0,20}")
# What no prompt contains: marks, and words that introduce something else.
_MARKUP = re.compile(
    r"[<>{}|\\`�]|\*\*|&(?:\w{2,8}|#\d+);|https?://|\]\(|^\W{0,20}#|^>|\bprompts?\W{0,3}[:=：]|提示词"
    r"|\b(?:user|assistant|human|system|thoughts?|thinking|answer|response|analysis|reasoning|rationale|explanation"
    r"|note|step \d+)\b\W{0,3}:",
    re.I,
)
# A text instead of an answer, where a model declines in words alone.
_DECLINED = re.compile(
    r"^\W{0,20}.{0,60}?\b(?:sorry|apologi[sz]e|as an ai)\b.{0,80}?\b(?:can(?:no|['’]?)t|won['’]?t|unable|not able)\b"
    r"|^\W{0,20}(?:lo siento|(?:je suis )?désolée?|(?:es )?tut mir leid|mi dispiace|desculpe|很?抱歉|对不起)"
    r"|^\W{0,20}(?:unfortunately\W+)?(?:i\b.{0,20})?"
    r"(?:can(?:no|['’]?)t|won['’]?t|(?:must )?decline|unable|not (?:able|comfortable))\b.{0,40}?"
    r"\b(?:help|assist|comply|fulfil|generat\w+|creat\w+|produc\w+|writ\w+|(?:do|with) (?:that|this|your)"
    r"|provide (?:an?|any|the|this|that) (?:\w+ )?(?:prompt|description|analysis|image|critique|information))\b",
    re.I | re.S,
)
DECLINED = 600  # characters; a longer text is no refusal
_OPENING = re.compile(
    rf"^\W{{0,20}}(?:{_TALK}|i (?:can|will|have|'ll)\b|i'll\b|to (?:improve|help|create|address)\b).*", re.I | re.S
)
_REMARK = re.compile(
    r"^\W{0,20}(?:(?:this|the|these|that|it)\s+(?:above |generated )?"
    r"(?:prompt|image|description|scene|details?|elements?)?\s*"
    r"(?:will|should|would|captures?|aims?|includes?|incorporates?|keeps?|maintains?|ensures?|retains?|mimics?|helps?"
    r"|is (?:designed|meant|intended)|focuses|emphasi[sz]es|reflects?|preserves?|challenges?)\b"
    r"|this prompt\b|note\b|explanation\b|rationale\b|word count\b|let me know\b|i hope\b|hope this\b|feel free\b"
    r"|if you\b|please let\b|would you\b|by (?:including|using|training)\b|\(?\d+ words\b)",
    re.I,
)
# Begins a paragraph after the prompt; a sentence of the prompt itself may begin so.
_AFTERWORD = re.compile(
    r"^\W{0,20}(?:(?:here['’]s )?why\b|key (?:elements|details|features|points)\b|alternatively\b|tips?\b|you can\b"
    r"|i (?:chose|have|included|added|used|kept|made|focused|wrote)\b"
    r"|the (?:model|classifier) (?:was|looked|saw|may)\b)",
    re.I,
)
_SPOKEN = re.compile(
    r"\b(?:the user|let me|let's|i (?:need|should|will|must|think|have to)|i'll|okay|hmm|wait)\b", re.I
)


def parse_prompt(text: str, label: str = "") -> str:
    """The prompt in an answer that should contain nothing else: without heading, remarks, quotes and code fences.

    Args:
        text: of the answer.
        label: of the class, which may have any characters in it.

    Raises:
        UnusableError: nothing is left, there are several prompts, or there is something else beside the prompt.
    """
    body = _FLAGS.sub("", _NEGATIVE.sub("", _unwrap_tag(_unwrap_object(_unwrap_fence(text)))))
    if len(_SEVERAL.findall(body)) > 1:
        raise UnusableError("bad prompt", "there are several prompts in it; answer with one")
    headed = [part for part in _HEADING.split(body)[1:] if part.strip("\"'“”*` \n")]
    if len(headed) > 1:
        raise UnusableError("bad prompt", "there are several prompts in it; answer with one")
    prompt = to_line(_drop_remarks(headed[0] if headed else body)).strip("\"'“”*` ")
    if not prompt:
        raise UnusableError("empty", "there is no prompt in it")
    refuse_markup(prompt, label)
    return prompt


def refuse_markup(prompt: str, label: str) -> None:
    """Raises UnusableError where a prompt has more in it than a prompt: markup, a heading, turns of a dialogue.

    Args:
        prompt: to be drawn.
        label: of the class, which may have any characters in it.
    """
    if found := _MARKUP.search(prompt.replace(label, "") if label else prompt):
        raise UnusableError("bad prompt", f"there is {found[0]!r} in it; answer with the prompt alone, in plain words")


def declines(text: str) -> bool:
    """Whether a text is a refusal in words, and nothing else: an object after an apology is an answer."""
    return len(text) <= DECLINED and "{" not in text and bool(_DECLINED.match(text))


def parse_stray_prompt(text: str, label: str = "") -> str:
    """The prompt in what a model wrote elsewhere than in its answer, where it is nothing but that.

    Args:
        text: of the model.
        label: as in `parse_prompt`.

    Raises:
        UnusableError: the model thinks aloud there.
    """
    if _SPOKEN.search(text):
        raise UnusableError("empty", "the answer is empty: the model's thinking is not taken for one")
    return parse_prompt(text, label)


def _unwrap_fence(text: str) -> str:
    """What stands in the only code fence of a text, or the text."""
    fences = [inner for inner in re.findall(r"```[\w-]*\n?(.*?)```", text, re.S) if inner.strip()]
    return fences[0] if len(fences) == 1 else re.sub(r"```\w*", "", text)


def _unwrap_object(text: str) -> str:
    objects = find_objects(text)
    prompts = [one["prompt"] for one in objects if isinstance(one.get("prompt"), str)]
    alike = [
        value
        for one in objects
        for name, value in one.items()
        if isinstance(value, str) and "prompt" in name.lower() and "negative" not in name.lower()
    ]
    return prompts[-1] if prompts else alike[0] if len(alike) == 1 else text


def _unwrap_tag(text: str) -> str:
    """What stands in the only pair of tags of a text, or the text."""
    tagged = [inner for _, inner in _TAGGED.findall(text) if inner]
    return tagged[0] if len(tagged) == 1 else text


def _drop_remarks(text: str) -> str:
    """The text without the paragraphs before and sentences after it that speak to the reader."""
    parts = [part.strip() for part in re.split(r"\n\s*\n|\n(?=\W{0,20}---)", text) if part.strip("-*\n ")]
    quoted = [found[1] for part in parts if (found := _QUOTED.fullmatch(part))]
    if len(quoted) == 1:
        return quoted[0]
    if len(parts) == 1:
        first, _, rest = parts[0].partition("\n")
        parts = [first, rest] if rest and first.rstrip().endswith(":") else parts
    while len(parts) > 1 and (_OPENING.match(parts[0]) or parts[0].endswith(":")):
        parts = parts[1:]
    while len(parts) > 1 and (_REMARK.match(parts[-1]) or _AFTERWORD.match(parts[-1])):
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
