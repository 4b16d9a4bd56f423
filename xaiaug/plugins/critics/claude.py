"""The critic that asks Claude through Anthropic's Messages API."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Unpack

from ...credentials import Secret
from ...errors import ConfigError
from ...records import JSON, BatchClient, RawReply
from ._claude_batches import ClaudeBatchClient
from ._conversation import ModelReply, Question, Turn
from ._remote_critic import RemoteCritic, RemoteOptions
from ._sdk import to_usage

BEARER = "ANTHROPIC_AUTH_TOKEN"
EFFORTS = ("low", "medium", "high", "xhigh", "max")


class ClaudeCritic(RemoteCritic):
    """Shows Claude the panel and the two classes; the key comes from ANTHROPIC_API_KEY.

    Args:
        model: Anthropic's name for it.
        effort: "low" to "max"; None: the model's default.
        thinking: "adaptive" or "disabled", for models that support it; None: the model's default.
        options: as in `RemoteCritic`; without a `base_url`, ANTHROPIC_BASE_URL or Anthropic's own address.
    """

    service = "claude"
    package = "anthropic"
    client_class = "Anthropic"
    own_address = "https://api.anthropic.com"
    address_variable = "ANTHROPIC_BASE_URL"
    key_variables = ("ANTHROPIC_API_KEY", BEARER)

    def __init__(
        self,
        model: str = "claude-haiku-5-5",
        *,
        effort: str | None = None,
        thinking: str | None = None,
        **options: Unpack[RemoteOptions],
    ) -> None:
        super().__init__(model, **options)
        self.effort = effort
        self.thinking = thinking

    def _check_parameters(self) -> None:
        super()._check_parameters()
        for name, known in (("effort", EFFORTS), ("thinking", ("adaptive", "disabled"))):
            if getattr(self, name) not in (None, *known):
                raise ConfigError(
                    f"ClaudeCritic: {name} must be one of {', '.join(known)}, got {getattr(self, name)!r}"
                )

    def _adapt_client(self, client: Any) -> None:
        key = self._find_key()
        if key and key == Secret(os.environ.get(BEARER, "").strip()):
            client.api_key, client.auth_token = None, key.reveal()

    def _request_settings(self) -> JSON:
        return ["claude", self.model, self.effort, self.thinking]

    def _to_request(self, question: Question) -> dict[str, Any]:
        output = {"effort": self.effort} if self.effort else {}
        if question.schema is not None:
            output["format"] = {"type": "json_schema", "schema": question.schema}  # type: ignore[assignment]
        request: dict[str, Any] = {
            "model": self.model,
            "max_tokens": question.max_tokens,
            "system": question.system,
            "messages": [{"role": turn.role, "content": _to_content(turn)} for turn in question.turns],
        }
        if output:
            request["output_config"] = output
        if self.thinking:
            request["thinking"] = {"type": self.thinking}
        return request

    def _send(self, request: Mapping[str, JSON]) -> RawReply:
        body = self._client.post(self._client.sdk.messages, request)
        return RawReply(body, read_usage(body.get("usage") or {}))

    def _make_batch_client(self) -> BatchClient:
        return ClaudeBatchClient(self._client, read_usage)

    def _read_reply(self, body: Mapping[str, JSON]) -> ModelReply:
        return read_reply(body)


def read_usage(usage: Any) -> dict[str, int]:
    """The tokens that are billed. The service does not count cached tokens as input tokens; we do."""
    paths = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    tokens = to_usage(usage, paths)
    cached = tokens.get("cache_read_tokens", 0) + tokens.get("cache_write_tokens", 0)
    return {**tokens, "input_tokens": tokens["input_tokens"] + cached} if cached else tokens


def read_reply(body: Mapping[str, Any]) -> ModelReply:
    """The model's reply: the text blocks of a message, without the thinking before them."""
    stop = body.get("stop_reason")
    if stop == "refusal":
        details = body.get("stop_details") or {}
        return ModelReply(str(details.get("explanation") or ""), "refusal", str(details.get("category") or ""))
    blocks = body.get("content") or []
    text = "".join(str(block.get("text") or "") for block in blocks if block.get("type") == "text")
    return ModelReply(text, "length" if stop in ("max_tokens", "model_context_window_exceeded") else "end")


def _to_content(turn: Turn) -> list[dict[str, Any]]:
    text = {"type": "text", "text": turn.text}
    if turn.picture is None:
        return [text]
    source = {"type": "base64", "media_type": turn.picture.media_type, "data": turn.picture.base64}
    return [{"type": "image", "source": source}, text]
