"""The critic that asks OpenAI, or any server with a compatible API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack
from urllib.parse import urlsplit

from ...errors import CallError, ConfigError
from ...records import JSON, BatchClient, RawReply
from . import _chat_completions, _responses_api
from ._conversation import ModelReply, Question
from ._openai_batches import OpenAIBatchClient
from ._remote_critic import RemoteCritic, RemoteOptions

APIS = ("auto", "responses", "chat")
NO_SUCH_API = {404, 405, 501}  # statuses of a server without the Responses API


class OpenAICritic(RemoteCritic):
    """Shows an OpenAI model the panel and the two classes; the key comes from OPENAI_API_KEY.

    With `base_url` it works with any compatible server (vLLM, Ollama, LM Studio, …), whose model needs a price or
    `local = true` in `[budget] prices`. A server on this machine gets no key; any other gets one only if it is known by
    its provider or named by the user, as docs/critics.md explains.

    Args:
        model: the service's name for it.
        effort: of reasoning, for models that support it; None: the model's default.
        temperature: for models that support it; None: the model's default.
        api: "responses", "chat", or "auto": Responses, or Chat Completions if a compatible server lacks Responses.
        options: as in `RemoteCritic`; without a `base_url`, OPENAI_BASE_URL or OpenAI's own address.
    """

    pixels_per_token = 850
    service = package = "openai"
    client_class = "OpenAI"
    own_address = "https://api.openai.com/v1"
    address_variable = "OPENAI_BASE_URL"
    key_variables = ("OPENAI_API_KEY",)

    def __init__(
        self,
        model: str = "gpt-6-luna",
        *,
        effort: str | None = None,
        temperature: float | None = None,
        api: str = "auto",
        **options: Unpack[RemoteOptions],
    ) -> None:
        super().__init__(model, **options)
        self.effort = effort
        self.temperature = temperature
        self.api = api

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.api not in APIS:
            raise ConfigError(f"OpenAICritic: api must be one of {', '.join(APIS)}, got {self.api!r}")

    def _connect(self) -> None:
        super()._connect()
        self._chat = self.api == "chat"

    def _adapt_client(self, client: Any) -> None:
        if self._is_compatible():  # the account at OpenAI is no business of another server
            client.organization = client.project = None

    def _is_compatible(self) -> bool:
        """Whether the server is another than OpenAI's own."""
        return self._receiver() != urlsplit(self.own_address).hostname

    def _request_settings(self) -> JSON:
        return ["openai", self.model, self.effort, self.temperature]

    def _to_request(self, question: Question) -> dict[str, Any]:
        request = {"model": self.model, **_responses_api.to_request(question)}
        if self.effort is not None:
            request["reasoning"] = {"effort": self.effort}
        if self.temperature is not None:
            request["temperature"] = self.temperature
        return request

    def _send(self, request: Mapping[str, JSON]) -> RawReply:
        if not self._chat:
            try:
                return _to_reply(self._client.post(self._client.sdk.responses, request))
            except CallError as error:
                if self.api != "auto" or not self._is_compatible() or error.status not in NO_SUCH_API:
                    raise
        reply = _to_reply(self._client.post(self._client.sdk.chat.completions, self._to_chat(request)))
        self._chat = True  # from now on the only API that is tried; a wrong model fails with either
        return reply

    def _to_chat(self, request: Mapping[str, JSON]) -> dict[str, Any]:
        return _chat_completions.from_responses(
            request, "max_tokens" if self._is_compatible() else "max_completion_tokens"
        )

    def _make_batch_client(self) -> BatchClient:
        if self._chat:
            return OpenAIBatchClient(self._client, "/v1/chat/completions", self._to_chat, _to_reply)
        return OpenAIBatchClient(self._client, "/v1/responses", dict, _to_reply)

    def _read_reply(self, body: Mapping[str, JSON]) -> ModelReply:
        return _chat_completions.read_reply(body) if "choices" in body else _responses_api.read_reply(body)


def _to_reply(body: dict[str, JSON]) -> RawReply:
    usage = body.get("usage")
    read_usage = _chat_completions.read_usage if "choices" in body else _responses_api.read_usage
    return RawReply(body, read_usage(usage))
