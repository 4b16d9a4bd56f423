"""OpenAI's Chat Completions API, which most compatible servers support."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._conversation import Question, Turn
from ._model_reply import ModelReply, read_parts, read_stop, with_stop, write_json
from ._token_usage import to_usage

THOUGHTS = ("reasoning_content", "reasoning", "thinking")  # where servers put what others leave out


def to_request(question: Question, limit: str, system_role: str, detail: str = "auto") -> dict[str, Any]:
    """The question as arguments of `chat.completions.create`.

    Args:
        question: what is asked.
        limit: the server's name for the token limit: "max_tokens" or "max_completion_tokens".
        system_role: of the system text, if there is one.
        detail: of pictures; "auto" is not sent.
    """
    system = [{"role": system_role, "content": question.system}] if question.system else []
    messages = [{"role": turn.role, "content": _to_content(turn, detail)} for turn in question.turns]
    arguments: dict[str, Any] = {"messages": [*system, *messages], limit: question.max_tokens}
    if question.schema is not None:
        schema = {"name": "critique", "schema": question.schema, "strict": True}
        arguments["response_format"] = {"type": "json_schema", "json_schema": schema}
    return arguments


def holds_completion(body: Mapping[str, Any]) -> bool:
    """Whether there is a choice, if only an empty one."""
    choices = body.get("choices")
    return isinstance(choices, list) and bool(choices) and isinstance(choices[0], Mapping)


def read_reply(body: Mapping[str, Any]) -> ModelReply:
    """The model's reply in a completion; one cut off by a filter may have no message, a chunk has a delta."""
    choice: Mapping[str, Any] = next(iter(body.get("choices") or []), {})
    message = choice.get("message") or choice.get("delta") or {}
    if not isinstance(message, Mapping):
        message = {"content": message}
    content = message.get("content") or choice.get("text") or ""
    refusal = message.get("refusal") or _read_refusal(content)
    if refusal:
        return ModelReply(str(refusal), "refusal")
    text, thinking = read_parts(content)
    reply = ModelReply(text, aside=_read_arguments(message) or _read_thoughts(message) or thinking)
    # OpenRouter tells its own word and its provider's: whichever is no end counts.
    reasons = [choice.get("finish_reason"), choice.get("native_finish_reason")]
    known = [(read_stop(reason), reason) for reason in reasons]
    stop, reason = known[0]
    if stop == "end" and known[1][0] not in ("end", "unknown"):
        stop, reason = known[1]
    if stop == "refusal":
        return with_stop(reply, stop, str(reason).replace("_", " "))
    return with_stop(reply, stop, reason)


def read_usage(usage: Any) -> dict[str, int]:
    """The tokens that are billed."""
    details = ("prompt_tokens_details.cached_tokens", "prompt_tokens_details.cache_write_tokens")
    return to_usage(usage, ("prompt_tokens", "completion_tokens", *details))


def _read_refusal(content: Any) -> str:
    parts = [part for part in content if isinstance(part, Mapping)] if isinstance(content, list) else []
    return " ".join(str(part.get("refusal") or "") for part in parts if part.get("type") == "refusal")


def _read_arguments(message: Mapping[str, Any]) -> str:
    """The arguments of the first call of a tool, or what the server parsed: some answer a schema by one of these."""
    calls = message.get("tool_calls") or []
    call = calls[0] if isinstance(calls, list) and calls else {"function": message.get("function_call")}
    function = call.get("function") or {} if isinstance(call, Mapping) else {}
    arguments = function.get("arguments") if isinstance(function, Mapping) else None
    return write_json(arguments or message.get("parsed"))


def _read_thoughts(message: Mapping[str, Any]) -> str:
    thoughts = next((text for name in THOUGHTS if isinstance(text := message.get(name), str) and text.strip()), "")
    return thoughts or read_parts(message.get("reasoning_details") or "")[1]  # a list of parts, at OpenRouter


def _to_content(turn: Turn, detail: str) -> Any:
    if turn.role == "assistant" or turn.picture is None:
        return turn.text
    shown = {} if detail == "auto" else {"detail": detail}
    image = {"type": "image_url", "image_url": {"url": turn.picture.url, **shown}}
    return [image, {"type": "text", "text": turn.text}]
