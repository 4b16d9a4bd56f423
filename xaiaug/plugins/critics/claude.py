"""The critic that asks Claude through Anthropic's Messages API."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Unpack

from ...credentials import Secret
from ...errors import ConfigError
from ...records import JSON, BatchClient, RawReply
from . import _messages_api
from ._claude_batches import ClaudeBatchClient
from ._conversation import Question
from ._model_reply import ModelReply, to_raw_reply
from ._remote_critic import RemoteCritic, RemoteOptions
from ._server_dialect import Dialect, DialectFinder

BEARER = "ANTHROPIC_AUTH_TOKEN"
EFFORTS = ("low", "medium", "high", "xhigh", "max")


class ClaudeCritic(RemoteCritic):
    """Shows Claude the panel and the two classes; the key comes from ANTHROPIC_API_KEY.

    Args:
        model: Anthropic's name for it.
        effort: "low" to "max"; None: the model's default.
        thinking: "adaptive" or "disabled", for models that support it; None: the model's default.
        cache_system: whether the service keeps the system text for the next calls; it does from about a thousand tokens
            on, so only long templates gain by it.
        options: as in `RemoteCritic`; without a `base_url`, ANTHROPIC_BASE_URL or Anthropic's own address.
    """

    service = extra = "claude"
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
        cache_system: bool = False,
        **options: Unpack[RemoteOptions],
    ) -> None:
        super().__init__(model, **options)
        self.effort = effort
        self.thinking = thinking
        self.cache_system = cache_system

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

    def _to_request(self, question: Question, dialect: Dialect) -> dict[str, Any]:  # noqa: ARG002  there is one
        request = {"model": self.model, **_messages_api.to_request(question)}
        if self.cache_system and question.system:
            request["system"] = [{"type": "text", "text": question.system, "cache_control": {"type": "ephemeral"}}]
        if self.effort:
            request["output_config"] = {"effort": self.effort, **request.get("output_config", {})}
        if self.thinking:
            request["thinking"] = {"type": self.thinking}
        return request

    def _post(self, request: Mapping[str, JSON], dialect: Dialect) -> RawReply:  # noqa: ARG002
        return to_raw_reply(self._client.post(self._client.sdk.messages, request), _messages_api)

    def _make_dialect_finder(self) -> DialectFinder:
        return DialectFinder(Dialect("messages"))

    def _make_batch_client(self) -> BatchClient:
        return ClaudeBatchClient(self._client, lambda body: to_raw_reply(body, _messages_api))

    def _read_reply(self, body: Mapping[str, JSON]) -> ModelReply:
        return _messages_api.read_reply(body)
