"""What the server must know of a protocol."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from .bill import text_tokens
from .example import example
from .request import Request, Said
from .script import SENTENCE, Error, Reply

# Replies are dated, and always the same: noon of 1 January 2026, UTC.
CREATED = 1_767_268_800


@dataclass(frozen=True)
class Answer:
    """A reply with everything filled in: its text, thinking, and tokens."""

    text: str
    thinking: str | None
    stop: str
    category: str | None
    input_tokens: int
    output_tokens: int

    @classmethod
    def to(cls, request: Request, reply: Reply) -> Answer:
        """What a reply says to a request. No more output tokens are counted than the request allows."""
        text = _text(request, reply)
        counted = text_tokens(text) + text_tokens(reply.thinking or "")
        allowed = counted if request.max_tokens is None else min(counted, request.max_tokens)
        tokens = reply.usage or (request.input_tokens, allowed)
        return cls(text, reply.thinking, reply.stop, reply.category, *tokens)


def _text(request: Request, reply: Reply) -> str:
    if reply.text is not None:
        return reply.text
    fields = dict(reply.json or {})
    if request.schema is not None:
        known = request.schema.get("properties", {})
        rest = {**request.schema, "properties": {name: known[name] for name in known if name not in fields}}
        made = example(rest)
        fields = {**made, **fields} if isinstance(made, dict) else made
        text = json.dumps(fields)
    else:
        text = json.dumps(fields) if reply.json is not None else SENTENCE
    return text[: len(text) // 2] if reply.stop == "length" else text


class Protocol(ABC):
    """One way of asking a model over HTTP: where it is asked, how requests are read, how replies and errors look."""

    name: ClassVar[str]
    path: ClassVar[str]
    service: ClassVar[str]
    pixels_per_token: ClassVar[int]

    @abstractmethod
    def read(self, body: Mapping[str, Any]) -> Said:
        """The content of a request body; raises `MisfitError`, or any of what a wrong shape raises."""

    @abstractmethod
    def reply(self, answer: Answer, request: Request) -> dict[str, Any]:
        """The body of a successful reply."""

    @abstractmethod
    def error(self, error: Error) -> tuple[int, dict[str, Any]]:
        """Status and body of an error."""


def texts_of(content: object) -> list[Any]:
    """Content as a list of parts: a plain text is a list of itself, nothing is an empty list."""
    if content is None:
        return []
    return [content] if isinstance(content, str) else list(content)  # type: ignore[call-overload]
