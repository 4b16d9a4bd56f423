"""OpenAI's Responses API: questions as requests, and the replies in responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._conversation import Question, Turn
from ._model_reply import ModelReply, read_parts, read_stop, with_stop, write_json
from ._token_usage import to_usage


def to_request(question: Question, detail: str = "auto") -> dict[str, Any]:
    """The question as arguments of `responses.create`; the service stores nothing."""
    arguments: dict[str, Any] = {
        "input": [{"role": turn.role, "content": _to_content(turn, detail)} for turn in question.turns],
        "max_output_tokens": question.max_tokens,
        "store": False,
    }
    if question.system:
        arguments["instructions"] = question.system
    if question.schema is not None:
        schema = {"type": "json_schema", "name": "critique", "schema": question.schema, "strict": True}
        arguments["text"] = {"format": schema}
    return arguments


def holds_completion(body: Mapping[str, Any]) -> bool:
    """Whether there is a list of output, if only an empty one."""
    return isinstance(body.get("output"), list)


def read_reply(body: Mapping[str, Any]) -> ModelReply:
    """The model's reply: the text of its messages, without the reasoning before them."""
    items = [item for item in body.get("output") or [] if isinstance(item, Mapping)]
    messages = [item for item in items if item.get("type") == "message"]
    parts = [part for item in messages for part in _to_parts(item.get("content"))]
    refusals = [str(part.get("refusal") or "") for part in parts if part.get("type") == "refusal"]
    if refusals:
        return ModelReply(" ".join(refusals), "refusal")
    arguments = [write_json(item["arguments"]) for item in items if item.get("arguments")]
    thoughts = ["".join(read_parts(item.get("content") or "")) for item in items if item not in messages]
    text = read_parts(parts)[0] or read_parts(body.get("output_text") or "")[0]
    reply = ModelReply(text, aside="".join(arguments) or "".join(thoughts))
    reason = (body.get("incomplete_details") or {}).get("reason") or body.get("status")
    stop = read_stop(reason)
    if stop == "end" and any(read_stop(item.get("status") or "completed") != "end" for item in messages):
        stop, reason = "interrupted", "incomplete"  # the last message is not whole, whatever the response says
    if stop == "refusal":
        return with_stop(reply, stop, str(reason).replace("_", " "))
    return with_stop(reply, stop, reason)


def _to_parts(content: Any) -> list[Mapping[str, Any]]:
    """The content of a message as parts: some servers send it as a text."""
    if isinstance(content, str):
        return [{"type": "output_text", "text": content}]
    return [part for part in content or [] if isinstance(part, Mapping)]


def read_usage(usage: Any) -> dict[str, int]:
    """The tokens that are billed."""
    details = ("input_tokens_details.cached_tokens", "input_tokens_details.cache_write_tokens")
    return to_usage(usage, ("input_tokens", "output_tokens", *details))


def _to_content(turn: Turn, detail: str) -> Any:
    if turn.role == "assistant" or turn.picture is None:
        return turn.text
    image = {"type": "input_image", "detail": detail, "image_url": turn.picture.url}
    return [image, {"type": "input_text", "text": turn.text}]
