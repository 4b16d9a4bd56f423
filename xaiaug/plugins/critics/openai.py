"""The critic that asks OpenAI, or any server with a compatible API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from ...errors import ConfigError
from ...records import JSON, BatchClient, RawReply
from . import _chat_completions, _responses_api
from ._conversation import Question
from ._model_reply import Api, ModelReply, to_raw_reply
from ._openai_batches import OpenAIBatchClient
from ._remote_critic import RemoteCritic, RemoteOptions
from ._server_dialect import LIMITS, SYSTEM_ROLES, Dialect, DialectFinder
from ._service_endpoint import OpenAIEndpoint
from ._token_usage import bill_as_stated

APIS = ("auto", "responses", "chat")
DETAILS = ("auto", "low", "high", "original")
REASONING = 2  # factor on the tokens of an answer: so much a model may think where max_tokens does not bound that


class OpenAIOptions(RemoteOptions, total=False):
    """The settings of `OpenAICritic` beside the model."""

    effort: str | None
    temperature: float | None
    api: str
    limit_name: str
    system_role: str
    detail: str


class OpenAICritic(OpenAIEndpoint, RemoteCritic):
    """Shows an OpenAI model the panel and the two classes; the key comes from OPENAI_API_KEY.

    With `base_url` it works with any compatible server (vLLM, Ollama, LM Studio, …), whose model needs a price or
    `local = true` in `[budget] prices`. A server on this machine gets no key; any other gets one only if it is known by
    its provider or named by the user, as docs/critics.md explains.

    Args:
        model: the service's name for it.
        effort: of reasoning, for models that support it; None: the model's default.
        temperature: for models that support it; None: the model's default.
        api: "responses", "chat", or "auto": Responses, or Chat Completions if a compatible server fails the first call.
        limit_name: of Chat Completions: "max_tokens", "max_completion_tokens", or "auto": what the server takes.
        system_role: of Chat Completions: "system", "developer", "user" (the system text begins the first message), or
            "auto": what the server takes.
        detail: of the picture, in the service's words: "auto", "low", "high" or "original".
        options: as in `RemoteCritic`; without a `base_url`, OPENAI_BASE_URL or OpenAI's own address.
    """

    pixels_per_token = 850
    service = "openai"
    preset_api = "responses"  # at other servers than OpenAI's own, where nothing is set
    preset_limit = LIMITS[0]
    states_cost = False  # whether the service tells in its usage what it bills

    def __init__(
        self,
        model: str = "gpt-6-luna",
        *,
        effort: str | None = None,
        temperature: float | None = None,
        api: str = "auto",
        limit_name: str = "auto",
        system_role: str = "auto",
        detail: str = "auto",
        **options: Unpack[RemoteOptions],
    ) -> None:
        super().__init__(model, **options)
        self.effort = effort
        self.temperature = temperature
        self.api = api
        self.limit_name = limit_name
        self.system_role = system_role
        self.detail = detail

    @property
    def stochastic(self) -> bool:  # type: ignore[override]  # follows from a parameter
        """Unless the temperature is 0: the service then gives its likeliest answer."""
        return self.temperature != 0

    def _check_parameters(self) -> None:
        super()._check_parameters()
        known = {
            "api": APIS,
            "limit_name": ("auto", *LIMITS),
            "system_role": ("auto", *SYSTEM_ROLES),
            "detail": DETAILS,
        }
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise ConfigError(
                    f"OpenAICritic: {name} must be one of {', '.join(values)}, got {getattr(self, name)!r}"
                )

    def _request_settings(self) -> JSON:
        shown = [] if self.detail == DETAILS[0] else [self.detail]
        return ["openai", self.model, self.effort, self.temperature, *shown]

    def _to_request(self, question: Question, dialect: Dialect) -> dict[str, Any]:
        chat = dialect.api == "chat"
        request: dict[str, Any] = {"model": self.model}
        if chat:
            request.update(_chat_completions.to_request(question, dialect.limit, dialect.system_role, self.detail))
        else:
            request.update(_responses_api.to_request(question, self.detail))
        if self.effort is not None and chat:
            request["reasoning_effort"] = self.effort
        elif self.effort is not None:
            request["reasoning"] = {"effort": self.effort}
        if self.temperature is not None:
            request["temperature"] = self.temperature
        return request

    def _post(self, request: Mapping[str, JSON], dialect: Dialect) -> RawReply:
        sdk = self._client.sdk
        if not self._is_compatible():  # a project may be set to a tier of twice the price
            request = {**request, "service_tier": "default"}
        reply = _to_reply(self._client.post(sdk.chat.completions if dialect.api == "chat" else sdk.responses, request))
        return bill_as_stated(reply) if self.states_cost else reply

    def _make_dialect_finder(self) -> DialectFinder:
        compatible = self._is_compatible()
        usual = self.preset_limit if compatible else LIMITS[1]
        limit = usual if self.limit_name == "auto" else self.limit_name
        usual_api = self.preset_api if compatible else "responses"
        role = SYSTEM_ROLES[0] if self.system_role == "auto" else self.system_role
        settled = {"limit"} if self.limit_name != "auto" else set[str]()
        settled |= {"system_role"} if self.system_role != "auto" else set()
        return DialectFinder(
            Dialect(usual_api if self.api == "auto" else self.api, limit=limit, system_role=role),
            probes=(["schema"] if compatible else []) + (["api"] if compatible and self.api == "auto" else []),
            settled=frozenset(settled),
        )

    def _reasoning_allowance(self, question: Question) -> int:
        bounded = not self._is_compatible() or self._finder.dialect.limit == LIMITS[1]
        return 0 if bounded else REASONING * question.max_tokens

    def _make_batch_client(self) -> BatchClient:
        endpoint = "/v1/chat/completions" if self._finder.dialect.api == "chat" else "/v1/responses"
        return OpenAIBatchClient(self._client, endpoint, dict, _to_reply)

    def _read_reply(self, body: Mapping[str, JSON]) -> ModelReply:
        return _api_of(body).read_reply(body)


def _to_reply(body: Mapping[str, JSON]) -> RawReply:
    return to_raw_reply(body, _api_of(body))


def _api_of(body: Mapping[str, JSON]) -> Api:
    """Some servers answer one API in the form of the other."""
    return _chat_completions if "choices" in body else _responses_api
