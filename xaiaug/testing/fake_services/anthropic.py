"""Anthropic's Messages protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .protocol import FilledReply, Protocol, texts_of
from .request import MisfitError, Picture, Request, RequestContent
from .script import Error

STOPS = {"end": "end_turn", "length": "max_tokens", "refusal": "refusal", "filter": "refusal"}
TYPES = {
    400: ("invalid_request_error", "Your request is not valid."),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "There is an issue with your billing or payment information."),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "The requested resource could not be found."),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed the rate limit for your organization."),
    504: ("timeout_error", "The request timed out while processing."),
    529: ("overloaded_error", "Overloaded"),
}
# The service answers with 400, not 429: github.com/anthropics/claude-code/issues/66314
OUT_OF_CREDIT = (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.")


class Messages(Protocol):
    """`POST /v1/messages`."""

    name = "messages"
    path = "/v1/messages"
    service = "anthropic"
    # 512 × 512 pixels are about 440 tokens.
    pixels_per_token = 600

    def read(self, body: Mapping[str, Any]) -> RequestContent:
        """The content of a request body; raises `MisfitError`, or any error that a wrong shape causes."""
        parts = texts_of(body.get("system"))
        for message in body["messages"]:
            parts += texts_of(message["content"])
        content = tuple(parsed for part in parts if (parsed := _parse_part(part)) is not None)
        turn = sum(message["role"] == "user" for message in body["messages"])
        # The beta client still sends the older name of the setting.
        output_format = (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
        return RequestContent(content, turn, int(body["max_tokens"]), output_format.get("schema"))

    def reply(self, filled: FilledReply, request: Request) -> dict[str, Any]:
        """The body of a successful reply."""
        refused = STOPS[filled.stop] == "refusal"
        return {
            "id": f"msg_loopback_{request.number:06d}",
            "type": "message",
            "role": "assistant",
            "model": request.model,
            "container": None,
            "content": [] if refused else _blocks(filled),
            "stop_reason": STOPS[filled.stop],
            "stop_sequence": None,
            "stop_details": _refusal(filled) if refused else None,
            "usage": {
                "input_tokens": filled.input_tokens,
                "output_tokens": filled.output_tokens,
                "cache_creation": None,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "inference_geo": None,
                "server_tool_use": None,
                "service_tier": "standard",
            },
        }

    def error(self, error: Error) -> tuple[int, dict[str, Any]]:
        """Status and body of an error."""
        kind, message = TYPES.get(error.status, ("api_error", "Internal server error"))
        status = error.status
        if error.quota:
            status, kind, message = OUT_OF_CREDIT
        details = {"type": error.type or kind, "message": error.message or message}
        return status, {"type": "error", "error": details, "request_id": "req_loopback"}


def _parse_part(block: Any) -> str | Picture | None:
    if isinstance(block, str):
        return block
    if block["type"] == "image":
        return _parse_picture(block["source"])
    return str(block["text"]) if block["type"] == "text" else None


def _parse_picture(source: Mapping[str, Any]) -> Picture:
    if source["type"] != "base64":
        return Picture.at(str(source.get("url", "")))
    picture = Picture.read(source["data"])
    if picture.media_type != source["media_type"]:
        raise MisfitError(
            f"The image was specified using the {source['media_type']} media type, "
            f"but the image appears to be a {picture.media_type} image"
        )
    return picture


def _blocks(filled: FilledReply) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if filled.thinking is not None:
        blocks.append({"type": "thinking", "thinking": filled.thinking, "signature": "c2lnbmF0dXJl"})
    if filled.text:
        blocks.append({"type": "text", "text": filled.text, "citations": None})
    return blocks


def _refusal(filled: FilledReply) -> dict[str, Any]:
    return {"type": "refusal", "category": filled.category, "explanation": filled.text}
