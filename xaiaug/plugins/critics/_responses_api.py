"""OpenAI's Responses API: a question as a request, a reply as what was said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._conversation import Question, Said, Turn
from ._sdk import billed


def request(question: Question) -> dict[str, Any]:
    """The question as arguments of `responses.create`; nothing is kept by the service."""
    made: dict[str, Any] = {
        "instructions": question.system,
        "input": [{"role": turn.role, "content": _content(turn)} for turn in question.turns],
        "max_output_tokens": question.max_tokens,
        "store": False,
    }
    if question.schema is not None:
        form = {"type": "json_schema", "name": "critique", "schema": question.schema, "strict": True}
        made["text"] = {"format": form}
    return made


def said(body: Mapping[str, Any]) -> Said:
    """What a response says: the text of its messages, without the reasoning that comes before them."""
    parts = [
        part for item in body.get("output") or [] if item.get("type") == "message" for part in item.get("content") or []
    ]
    refusals = [str(part.get("refusal") or "") for part in parts if part.get("type") == "refusal"]
    if refusals:
        return Said(" ".join(refusals), "refusal")
    reason = (body.get("incomplete_details") or {}).get("reason")
    if reason == "content_filter":
        return Said("", "refusal", "content filter")
    text = "".join(str(part.get("text") or "") for part in parts if part.get("type") == "output_text")
    return Said(text, "length" if reason == "max_output_tokens" else "end")


def used(usage: Any) -> dict[str, int]:
    """What is billed."""
    details = ("input_tokens_details.cached_tokens", "input_tokens_details.cache_write_tokens")
    return billed(usage, ("input_tokens", "output_tokens", *details))


def _content(turn: Turn) -> Any:
    if turn.role == "assistant" or turn.picture is None:
        return turn.text
    picture = {"type": "input_image", "detail": "auto", "image_url": turn.picture.url}
    return [picture, {"type": "input_text", "text": turn.text}]
