"""OpenAI's Responses API: questions as requests, and the replies in responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._conversation import ModelReply, Question, Turn
from ._sdk import to_usage


def to_request(question: Question) -> dict[str, Any]:
    """The question as arguments of `responses.create`; the service stores nothing."""
    arguments: dict[str, Any] = {
        "instructions": question.system,
        "input": [{"role": turn.role, "content": _to_content(turn)} for turn in question.turns],
        "max_output_tokens": question.max_tokens,
        "store": False,
    }
    if question.schema is not None:
        schema = {"type": "json_schema", "name": "critique", "schema": question.schema, "strict": True}
        arguments["text"] = {"format": schema}
    return arguments


def read_reply(body: Mapping[str, Any]) -> ModelReply:
    """The model's reply: the text of its messages, without the reasoning before them."""
    parts = [
        part for item in body.get("output") or [] if item.get("type") == "message" for part in item.get("content") or []
    ]
    refusals = [str(part.get("refusal") or "") for part in parts if part.get("type") == "refusal"]
    if refusals:
        return ModelReply(" ".join(refusals), "refusal")
    reason = (body.get("incomplete_details") or {}).get("reason")
    if reason == "content_filter":
        return ModelReply("", "refusal", "content filter")
    text = "".join(str(part.get("text") or "") for part in parts if part.get("type") == "output_text")
    return ModelReply(text, "length" if reason == "max_output_tokens" else "end")


def read_usage(usage: Any) -> dict[str, int]:
    """The tokens that are billed."""
    details = ("input_tokens_details.cached_tokens", "input_tokens_details.cache_write_tokens")
    return to_usage(usage, ("input_tokens", "output_tokens", *details))


def _to_content(turn: Turn) -> Any:
    if turn.role == "assistant" or turn.picture is None:
        return turn.text
    image = {"type": "input_image", "detail": "auto", "image_url": turn.picture.url}
    return [image, {"type": "input_text", "text": turn.text}]
