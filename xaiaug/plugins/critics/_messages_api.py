"""Anthropic's Messages API: questions as requests, and the replies in messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ._conversation import Question, Turn
from ._model_reply import ModelReply, read_parts, read_stop, with_stop
from ._token_usage import to_usage


def to_request(question: Question) -> dict[str, Any]:
    """The question as arguments of `messages.create`."""
    arguments: dict[str, Any] = {
        "max_tokens": question.max_tokens,
        "messages": [{"role": turn.role, "content": _to_content(turn)} for turn in question.turns],
    }
    if question.system:
        arguments["system"] = question.system
    if question.schema is not None:
        arguments["output_config"] = {"format": {"type": "json_schema", "schema": question.schema}}
    return arguments


def holds_completion(body: Mapping[str, Any]) -> bool:
    """Whether there is a list of blocks, if only an empty one."""
    return isinstance(body.get("content"), list)


def read_reply(body: Mapping[str, Any]) -> ModelReply:
    """The model's reply: the text blocks of a message, without the thinking before them."""
    reason = body.get("stop_reason")
    stop = read_stop(reason)
    if stop == "refusal":
        details = body.get("stop_details") or {}
        return ModelReply(str(details.get("explanation") or ""), stop, str(details.get("category") or ""))
    blocks = body.get("content") or []
    text, thinking = read_parts([block for block in blocks if block.get("type") != "tool_use"])
    inputs = [block.get("input") for block in blocks if block.get("type") == "tool_use"]
    return with_stop(
        ModelReply(text, aside=json.dumps(inputs[0], ensure_ascii=False) if inputs else thinking), stop, reason
    )


def read_usage(usage: Any) -> dict[str, int]:
    """The tokens that are billed; thinking is part of the output, cached tokens are beside the input."""
    paths = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return to_usage(usage, paths, reasoning=(), cached_beside=True)


def _to_content(turn: Turn) -> list[dict[str, Any]]:
    text = {"type": "text", "text": turn.text}
    if turn.picture is None:
        return [text]
    source = {"type": "base64", "media_type": turn.picture.media_type, "data": turn.picture.base64}
    return [{"type": "image", "source": source}, text]
