"""The interface of a protocol: how requests are read, and how replies and errors are written."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from PIL import Image

from .bill import text_tokens
from .example import make_example
from .request import Request, RequestContent
from .script import SENTENCE, Error, Reply

# All replies have the same date: noon of 1 January 2026, UTC.
CREATED = 1_767_268_800


@dataclass(frozen=True)
class FilledReply:
    """A reply with everything filled in: its text, thinking, and tokens."""

    text: str
    thinking: str | None
    stop: str
    category: str | None
    input_tokens: int
    output_tokens: int
    image: Image.Image | None = None

    @classmethod
    def fill(cls, reply: Reply, request: Request) -> FilledReply:
        """Fills in a reply to a request; no more output tokens are counted than the request allows."""
        text = _text(request, reply)
        count = text_tokens(text) + text_tokens(reply.thinking or "")
        output_tokens = count if request.max_tokens is None else min(count, request.max_tokens)
        tokens = reply.usage or (request.input_tokens, output_tokens)
        return cls(text, reply.thinking, reply.stop, reply.category, *tokens)


def _text(request: Request, reply: Reply) -> str:
    if reply.text is not None:
        return reply.text
    fields = dict(reply.json or {})
    if request.schema is not None:
        known = request.schema.get("properties", {})
        rest = {**request.schema, "properties": {name: known[name] for name in known if name not in fields}}
        example = make_example(rest)
        fields = {**example, **fields} if isinstance(example, dict) else example
        text = json.dumps(fields)
    else:
        text = json.dumps(fields) if reply.json is not None else SENTENCE
    return text[: len(text) // 2] if reply.stop == "length" else text


class Protocol(ABC):
    """A protocol of a service: its path, how requests are read, and how replies and errors are written."""

    name: ClassVar[str]
    path: ClassVar[str]
    service: ClassVar[str]
    pixels_per_token: ClassVar[int]
    media_type: ClassVar[str] = "application/json"

    @abstractmethod
    def read(self, body: Mapping[str, Any]) -> RequestContent:
        """The content of a request body; raises `MisfitError`, or any error that a wrong shape causes."""

    def fill(self, reply: Reply, request: Request) -> FilledReply:
        """A reply with everything filled in."""
        return FilledReply.fill(reply, request)

    def refuse(self, reply: Reply) -> Error | None:  # noqa: ARG002
        """The error that a reply is in this protocol; None if it is answered with HTTP 200, as refusals mostly are."""
        return None

    @abstractmethod
    def reply(self, filled: FilledReply, request: Request) -> dict[str, Any]:
        """The body of a successful reply."""

    @abstractmethod
    def error(self, error: Error) -> tuple[int, dict[str, Any]]:
        """Status and body of an error."""


def texts_of(content: object) -> list[Any]:
    """Content as a list of parts; a single text becomes a list of one, None an empty list."""
    if content is None:
        return []
    return [content] if isinstance(content, str) else list(content)  # type: ignore[call-overload]
