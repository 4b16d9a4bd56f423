"""The Messages protocol of Anthropic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .protocol import Answer, Protocol, texts_of
from .request import MisfitError, Picture, Request, Said
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
# What the service answers is a 400 and no 429: github.com/anthropics/claude-code/issues/66314
OUT_OF_CREDIT = (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.")


class Messages(Protocol):
    """`POST /v1/messages`."""

    name = "messages"
    path = "/v1/messages"
    service = "anthropic"
    # 512 × 512 pixels are about 440 tokens.
    pixels_per_token = 600

    def read(self, body: Mapping[str, Any]) -> Said:
        """The content of a request body; raises `MisfitError`, or any of what a wrong shape raises."""
        parts = texts_of(body.get("system"))
        for message in body["messages"]:
            parts += texts_of(message["content"])
        content = tuple(found for part in parts if (found := _part(part)) is not None)
        turn = sum(message["role"] == "user" for message in body["messages"])
        # The older name of the setting is still sent by the beta client.
        form = (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
        return Said(content, turn, int(body["max_tokens"]), form.get("schema"))

    def reply(self, answer: Answer, request: Request) -> dict[str, Any]:
        """The body of a successful reply."""
        refused = STOPS[answer.stop] == "refusal"
        return {
            "id": f"msg_loopback_{request.number:06d}",
            "type": "message",
            "role": "assistant",
            "model": request.model,
            "container": None,
            "content": [] if refused else _blocks(answer),
            "stop_reason": STOPS[answer.stop],
            "stop_sequence": None,
            "stop_details": _refusal(answer) if refused else None,
            "usage": {
                "input_tokens": answer.input_tokens,
                "output_tokens": answer.output_tokens,
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


def _part(block: Any) -> str | Picture | None:
    if isinstance(block, str):
        return block
    if block["type"] == "image":
        return _picture(block["source"])
    return str(block["text"]) if block["type"] == "text" else None


def _picture(source: Mapping[str, Any]) -> Picture:
    if source["type"] != "base64":
        return Picture.at(str(source.get("url", "")))
    picture = Picture.read(source["data"])
    if picture.media_type != source["media_type"]:
        raise MisfitError(
            f"The image was specified using the {source['media_type']} media type, "
            f"but the image appears to be a {picture.media_type} image"
        )
    return picture


def _blocks(answer: Answer) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if answer.thinking is not None:
        blocks.append({"type": "thinking", "thinking": answer.thinking, "signature": "c2lnbmF0dXJl"})
    if answer.text:
        blocks.append({"type": "text", "text": answer.text, "citations": None})
    return blocks


def _refusal(answer: Answer) -> dict[str, Any]:
    return {"type": "refusal", "category": answer.category, "explanation": answer.text}
