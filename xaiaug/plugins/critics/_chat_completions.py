"""OpenAI's Chat Completions API, which most compatible servers support."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._conversation import ModelReply
from ._sdk import to_usage


def from_responses(request: Mapping[str, Any], limit: str) -> dict[str, Any]:
    """A request of the Responses API as arguments of `chat.completions.create`.

    Args:
        request: as made by `_responses_api.to_request`, with the settings of the critic.
        limit: the server's name for the token limit: "max_tokens" or "max_completion_tokens".
    """
    system = {"role": "system", "content": request["instructions"]}
    messages = [{"role": turn["role"], "content": _to_content(turn["content"])} for turn in request["input"]]
    arguments = {"model": request["model"], "messages": [system, *messages], limit: request["max_output_tokens"]}
    if "text" in request:
        schema = {name: request["text"]["format"][name] for name in ("name", "schema", "strict")}
        arguments["response_format"] = {"type": "json_schema", "json_schema": schema}
    if "reasoning" in request:
        arguments["reasoning_effort"] = request["reasoning"]["effort"]
    if "temperature" in request:
        arguments["temperature"] = request["temperature"]
    return arguments


def read_reply(body: Mapping[str, Any]) -> ModelReply:
    """The model's reply in a completion; one cut off by a filter may have no message."""
    choice: Mapping[str, Any] = next(iter(body.get("choices") or []), {})
    message, reason = choice.get("message") or {}, choice.get("finish_reason")
    if message.get("refusal"):
        return ModelReply(str(message["refusal"]), "refusal")
    if reason == "content_filter":
        return ModelReply("", "refusal", "content filter")
    content = message.get("content") or ""
    if isinstance(content, list):  # some servers send parts
        content = "".join(str(part.get("text") or "") for part in content)
    return ModelReply(str(content), "length" if reason == "length" else "end")


def read_usage(usage: Any) -> dict[str, int]:
    """The tokens that are billed."""
    details = ("prompt_tokens_details.cached_tokens", "prompt_tokens_details.cache_write_tokens")
    return to_usage(usage, ("prompt_tokens", "completion_tokens", *details))


def _to_content(content: Any) -> Any:
    if isinstance(content, str):
        return content
    return [
        {"type": "image_url", "image_url": {"url": part["image_url"]}}
        if part["type"] == "input_image"
        else {"type": "text", "text": part["text"]}
        for part in content
    ]
