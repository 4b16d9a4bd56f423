"""OpenAI's Chat Completions API, which most compatible servers speak."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._conversation import Said
from ._sdk import billed


def from_responses(request: Mapping[str, Any], most: str) -> dict[str, Any]:
    """A request of the Responses API as arguments of `chat.completions.create`.

    Args:
        request: as `_responses.request` makes it, with the settings of the critic.
        most: the server's name for the limit of tokens: "max_tokens" or "max_completion_tokens".
    """
    system = {"role": "system", "content": request["instructions"]}
    messages = [{"role": turn["role"], "content": _content(turn["content"])} for turn in request["input"]]
    made = {"model": request["model"], "messages": [system, *messages], most: request["max_output_tokens"]}
    if "text" in request:
        form = {name: request["text"]["format"][name] for name in ("name", "schema", "strict")}
        made["response_format"] = {"type": "json_schema", "json_schema": form}
    if "reasoning" in request:
        made["reasoning_effort"] = request["reasoning"]["effort"]
    if "temperature" in request:
        made["temperature"] = request["temperature"]
    return made


def said(body: Mapping[str, Any]) -> Said:
    """What a completion says; an answer that a filter cut may come without any message."""
    choice: Mapping[str, Any] = next(iter(body.get("choices") or []), {})
    message, reason = choice.get("message") or {}, choice.get("finish_reason")
    if message.get("refusal"):
        return Said(str(message["refusal"]), "refusal")
    if reason == "content_filter":
        return Said("", "refusal", "content filter")
    content = message.get("content") or ""
    if isinstance(content, list):  # some servers answer in parts
        content = "".join(str(part.get("text") or "") for part in content)
    return Said(str(content), "length" if reason == "length" else "end")


def used(usage: Any) -> dict[str, int]:
    """What is billed."""
    details = ("prompt_tokens_details.cached_tokens", "prompt_tokens_details.cache_write_tokens")
    return billed(usage, ("prompt_tokens", "completion_tokens", *details))


def _content(content: Any) -> Any:
    if isinstance(content, str):
        return content
    return [
        {"type": "image_url", "image_url": {"url": part["image_url"]}}
        if part["type"] == "input_image"
        else {"type": "text", "text": part["text"]}
        for part in content
    ]
