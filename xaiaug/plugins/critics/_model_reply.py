"""What a service's answer is: whole, cut off, refused, interrupted, or no completion at all; for all services alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from ...calls import CallError, classify, retry_after
from ...calls.error_body import guess_status, read_status, read_words
from ...records import JSON, UNKNOWN_USAGE, RawReply
from ._answer_text import nested_objects

Stop = Literal["end", "length", "refusal", "interrupted", "unknown"]
DETAIL = 500  # characters of an error that are kept
# Services' words for how an answer ended, in lower case. Only the first are whole answers.
_STOPS: Mapping[str, Stop] = {
    **dict.fromkeys(
        [
            "stop",
            "end",
            "end_turn",
            "eos",
            "eos_token",
            "stop_sequence",
            "complete",
            "completed",
            "finished",
            "tool_calls",
            "tool_call",
            "tool_use",
            "function_call",
        ],
        "end",
    ),
    **dict.fromkeys(
        [
            "length",
            "max_tokens",
            "max_length",
            "max_output_tokens",
            "max_completion_tokens",
            "model_length",
            "context_length",
            "token_limit",
            "model_context_window_exceeded",
        ],
        "length",
    ),
    **dict.fromkeys(
        [
            "refusal",
            "content_filter",
            "content_filtered",
            "content_policy",
            "safety",
            "recitation",
            "blocklist",
            "prohibited_content",
            "spii",
            "image_safety",
            "moderation",
            "flagged",
            "sensitive",
            "guardrail_intervened",
            "guardrail",
        ],
        "refusal",
    ),
    **dict.fromkeys(
        [
            "error",
            "failed",
            "abort",
            "aborted",
            "cancelled",
            "canceled",
            "timeout",
            "pause_turn",
            "network_error",
            "server_error",
            "overloaded",
            "interrupted",
            "incomplete",
            "insufficient_system_resource",
            "malformed_function_call",
        ],
        "interrupted",
    ),
}
_LATE = {408, 504, 524}  # of a server in between: whoever did the work may bill it
_ERROR_PARTS = (
    *("errors", "code", "message", "msg", "detail", "base_resp", "reason", "title", "description", "fault"),
    *("__type", "error_msg", "error_message", "errorMessage", "Message"),
)
_NO_FAULT = {"", "0", "200", "ok", "success", "none", "null", "false", "no error"}  # words of an error that is none
_UNFINISHED = ("failed", "cancelled", "queued", "in_progress")


@dataclass(frozen=True)
class ModelReply:
    """A model's reply.

    Attributes:
        text: without the model's thinking; of a refusal, its reason.
        stop: "end", "length" (cut off at the token limit), "refusal", "interrupted", or "unknown": the service gives a
            reason, or none, that is not known to end a whole answer.
        category: of a refusal or another end, the service's word for it, if it gives one.
        aside: what the model wrote elsewhere: its reasoning, or the arguments of a tool; for answers without text.
        is_new: whether it came in this session; else it was recorded before.
    """

    text: str
    stop: Stop = "end"
    category: str = ""
    aside: str = ""
    is_new: bool = True


class Api(Protocol):
    """How one API reports an answer."""

    def holds_completion(self, body: Mapping[str, Any]) -> bool:
        """Whether a body is an answer of a model, if only an empty one."""
        ...

    def read_reply(self, body: Mapping[str, Any]) -> ModelReply:
        """The model's reply in a body."""
        ...

    def read_usage(self, usage: Any) -> dict[str, int]:
        """The tokens that are billed."""
        ...


def read_stop(reason: Any) -> Stop:
    """How an answer ended, by the service's word for it, such as "stop", "MAX_TOKENS" or "content_filter: SAFETY"."""
    word = str(reason or "").partition(":")[0].strip().lower().replace("-", "_").removeprefix("finish_reason_")
    return _STOPS.get(word, "unknown")


def read_parts(content: Any) -> tuple[str, str]:
    """Text and thinking of a message's content: a text, a part, or a list of parts."""
    if isinstance(content, str):
        return content, ""
    text, thinking = [], []
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            text.append(part)
        elif isinstance(part, Mapping):
            kind = str(part.get("type") or "text")
            if kind in ("text", "output_text"):
                text.append(_read_text(part))
            elif "think" in kind or "reason" in kind:
                inner = part.get("thinking") or part.get("text") or part.get("reasoning") or ""
                thinking.append(read_parts(inner)[0])
    return "".join(text), "".join(thinking)


def _read_text(part: Mapping[str, Any]) -> str:
    """The text of a part; an answer that the server has parsed already is written as JSON again."""
    if "type" not in part and "text" not in part:
        return write_json(part)
    text = part.get("text")
    inner = text.get("value") if isinstance(text, Mapping) else text
    return inner if isinstance(inner, str) else ""


def write_json(value: Any) -> str:
    """A text as it is, and what a server has parsed already as JSON again; empty for nothing."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False) if value else ""


def to_raw_reply(body: Mapping[str, JSON], api: Api) -> RawReply:
    """The reply in a body that came with HTTP 200.

    Raises:
        CallError: the body holds an error, or no completion: it is classed by its own code, and is no answer.
    """
    usage = api.read_usage(body.get("usage"))
    error = _find_error(body, complete=api.holds_completion(body))
    if error is not None:
        raise _to_call_error(error, body)
    if not usage.get("output_tokens", 1) and _has_text(api.read_reply, body):
        usage = dict(UNKNOWN_USAGE)  # text that took no tokens: a count that is not told
    return RawReply(body, usage)


def _has_text(read_reply: Callable[[Mapping[str, Any]], ModelReply], body: Mapping[str, Any]) -> bool:
    try:
        reply = read_reply(body)
    except (AttributeError, TypeError):
        return True
    return bool(reply.text or reply.aside) and reply.stop != "refusal"


def _find_error(body: Mapping[str, Any], *, complete: bool) -> Any:
    """The error in a body; None where it is an answer. A cut answer may come with the error that cut it."""
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    found = [body.get("error"), first.get("error") if isinstance(first, Mapping) else None]
    error = next((one for one in found if one and _tells_fault(one)), None)
    if error is not None:
        return error
    failed = body.get("success") is False or body.get("status") in _UNFINISHED
    if complete and not failed and body.get("type") != "error" and body.get("object") != "error":
        return None
    if "error" in (body.get("type"), body.get("object")):
        return body
    parts = {name: body[name] for name in _ERROR_PARTS if body.get(name)}
    return parts | ({"status": body["status"]} if read_status({"status": body.get("status")}) else {})


def _tells_fault(error: Any) -> bool:
    """Whether an error says anything; some services send one with each answer, such as {"code": 0}."""
    return not set(read_words(error).lower().split(": ")) <= _NO_FAULT


def find_block(body: Mapping[str, Any]) -> str | None:
    """What a filter says of a question that it did not let through, in a body without words of an error."""
    for part in nested_objects(body, 6):
        reason = part.get("blockReason") or part.get("block_reason")
        if reason or part.get("filtered") is True:
            return f"blocked by the service's content filter{f' ({reason})' if reason else ''}"
    return None


def _to_call_error(error: Any, body: Mapping[str, Any]) -> CallError:
    words = read_words(error)[:DETAIL]
    blocked = None if words else find_block(body)
    if blocked is not None:
        return CallError("refusal", blocked, status=400, billed=_is_counted(body.get("usage")))
    if not words:
        shown = json.dumps({name: body[name] for name in body if name != "usage"}, ensure_ascii=False)
        return CallError("retry", f"the answer holds no completion: {shown[:120]}")
    status = read_status(error) or read_status(body) or guess_status(words)
    wait = retry_after({}, json.dumps(body))
    billed = True if _is_counted(body.get("usage")) else None if status in _LATE else False
    return CallError(classify(status, words, wait), words, status=status, retry_after_s=wait, billed=billed)


def _is_counted(usage: Any) -> bool:
    """Whether a usage holds any number above zero."""
    if isinstance(usage, Mapping):
        return any(_is_counted(value) for value in usage.values())
    return isinstance(usage, int | float) and usage > 0


def with_stop(reply: ModelReply, stop: Stop, category: Any = "") -> ModelReply:
    """The reply with another end; a refusal by a filter has no text of the model's."""
    return replace(reply, stop=stop, category=str(category or ""), text="" if stop == "refusal" else reply.text)
