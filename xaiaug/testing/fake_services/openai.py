"""OpenAI's Responses and Chat Completions protocols."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .protocol import CREATED, FilledReply, Protocol, texts_of
from .request import Picture, Request, RequestContent
from .script import Error

TYPES = {
    400: ("invalid_request_error", None, "Your request is not valid."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    403: ("invalid_request_error", "access_denied", "Your project does not have access to this."),
    404: ("invalid_request_error", "model_not_found", "The requested resource does not exist."),
    413: ("invalid_request_error", "request_too_large", "The request is too large."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests per minute (RPM)."),
}
INTERNAL = ("server_error", None, "The server had an error while processing your request.")
QUOTA = ("insufficient_quota", "insufficient_quota", "You exceeded your current quota, check your plan and billing.")


class OpenAI(Protocol):
    """The common part of both protocols."""

    service = "openai"
    # 512 × 512 pixels are about 310 tokens.
    pixels_per_token = 850

    def error(self, error: Error) -> tuple[int, dict[str, Any]]:
        """Status and body of an error."""
        kind, code, message = QUOTA if error.quota else TYPES.get(error.status, INTERNAL)
        details = {
            "message": error.message or message,
            "type": error.type or kind,
            "param": None,
            "code": error.code or code,
        }
        return error.status, {"error": details}


class Responses(OpenAI):
    """`POST /v1/responses`."""

    name = "responses"
    path = "/v1/responses"

    def read(self, body: Mapping[str, Any]) -> RequestContent:
        """The content of a request body; raises `MisfitError`, or any error that a wrong shape causes."""
        content = body["input"]
        items = [{"role": "user", "content": content}] if isinstance(content, str) else content
        parts = texts_of(body.get("instructions"))
        for item in items:
            parts += texts_of(item.get("content"))
        text_format = (body.get("text") or {}).get("format") or {}
        turn = sum(item.get("role") == "user" for item in items)
        return RequestContent(_content(parts), turn, body.get("max_output_tokens"), text_format.get("schema"))

    def reply(self, filled: FilledReply, request: Request) -> dict[str, Any]:
        """The body of a successful reply."""
        reasons = {"length": "max_output_tokens", "filter": "content_filter"}
        status = "incomplete" if filled.stop in reasons else "completed"
        details = {"reason": reasons[filled.stop]} if filled.stop in reasons else None
        return {
            "id": f"resp_loopback_{request.number:06d}",
            "object": "response",
            "created_at": CREATED,
            "status": status,
            "error": None,
            "incomplete_details": details,
            "instructions": request.body.get("instructions"),
            "metadata": {},
            "model": request.model,
            "output": _output(filled, request.number, status),
            "parallel_tool_calls": True,
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "usage": {
                "input_tokens": filled.input_tokens,
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens": filled.output_tokens,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": filled.input_tokens + filled.output_tokens,
            },
        }


class Chat(OpenAI):
    """`POST /v1/chat/completions`."""

    name = "chat"
    path = "/v1/chat/completions"

    def read(self, body: Mapping[str, Any]) -> RequestContent:
        """The content of a request body; raises `MisfitError`, or any error that a wrong shape causes."""
        parts: list[Any] = []
        for message in body["messages"]:
            parts += texts_of(message.get("content"))
        response_format = (body.get("response_format") or {}).get("json_schema") or {}
        max_tokens = body.get("max_completion_tokens") or body.get("max_tokens")
        turn = sum(message["role"] == "user" for message in body["messages"])
        return RequestContent(_content(parts), turn, max_tokens, response_format.get("schema"))

    def reply(self, filled: FilledReply, request: Request) -> dict[str, Any]:
        """The body of a successful reply."""
        refused = filled.stop == "refusal"
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None if refused else filled.text,
            "refusal": filled.text if refused else None,
            "annotations": [],
        }
        reason = {"length": "length", "filter": "content_filter"}.get(filled.stop, "stop")
        return {
            "id": f"chatcmpl-loopback-{request.number:06d}",
            "object": "chat.completion",
            "created": CREATED,
            "model": request.model,
            "choices": [{"index": 0, "message": message, "finish_reason": reason, "logprobs": None}],
            "usage": {
                "prompt_tokens": filled.input_tokens,
                "completion_tokens": filled.output_tokens,
                "total_tokens": filled.input_tokens + filled.output_tokens,
            },
        }


def _content(parts: list[Any]) -> tuple[str | Picture, ...]:
    return tuple(parsed for part in parts if (parsed := _parse_part(part)) is not None)


def _parse_part(part: Any) -> str | Picture | None:
    if isinstance(part, str):
        return part
    image = part.get("image_url")
    if image is not None:
        return Picture.at(image if isinstance(image, str) else image["url"])
    return str(part["text"]) if "text" in part else None


def _output(filled: FilledReply, number: int, status: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if filled.thinking is not None:
        summary = [{"type": "summary_text", "text": filled.thinking}]
        items.append({"type": "reasoning", "id": f"rs_loopback_{number:06d}", "summary": summary})
    part: dict[str, Any] = {"type": "output_text", "text": filled.text, "annotations": [], "logprobs": []}
    if filled.stop == "refusal":
        part = {"type": "refusal", "refusal": filled.text}
    content = [part] if filled.text else []
    identity = f"msg_loopback_{number:06d}"
    items.append({"type": "message", "id": identity, "role": "assistant", "status": status, "content": content})
    return items
