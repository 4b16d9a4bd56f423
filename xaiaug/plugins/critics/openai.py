"""The critic that asks OpenAI, or any server that speaks its protocol."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ...errors import CallError, ConfigError
from ...records import JSON, BatchClient, RawReply
from . import _chat_completions, _responses_api
from ._conversation import Question, Said
from ._openai_batches import OpenAICourier
from ._remote_critic import RemoteCritic
from ._sdk import Wire, checked_address, key_from, need

KEYS = ("OPENAI_API_KEY",)
ADDRESS = "https://api.openai.com/v1"
APIS = ("auto", "responses", "chat")
UNKNOWN = {404, 405, 501}  # what a server says that has no Responses API


class OpenAICritic(RemoteCritic):
    """Shows an OpenAI model the panel and the two classes; the key comes from OPENAI_API_KEY.

    With `base_url` any compatible server will do (vLLM, Ollama, LM Studio, …); its model is given a price or
    declared as local in `[budget] prices`. A server at another address than OpenAI's needs no key.

    Args:
        model: as the service names it.
        dialogue: "structured" (one call, bound to a schema) or "paper" (an analysis, then the prompt alone).
        layout: of the panel: "side-by-side", "overlay", "masked" or "image-only".
        side: width of the panel in pixels, at least 200.
        domain: one line on what the images are, such as "chest X-rays of adults"; may be empty.
        templates: texts in place of ours, by name.
        max_tokens: most an answer may take, reasoning included.
        effort: of reasoning, for models that know it; None leaves it to the model.
        temperature: for models that know it; None leaves it to the model.
        base_url: of a compatible server; None: OPENAI_BASE_URL, else OpenAI's own.
        api: "responses", "chat", or "auto": Responses, and Chat Completions where a compatible server has none.
        mode: "live", or "batch": all calls wait for one another, come back within a day, and cost half.
        timeout_s: most seconds a call may take.
        second: table of a critic that takes what this one declines: {"name": "claude", …}.
        budget_usd: most that may be spent outside a run; in a run its own budget counts.
        prices: by model, for use outside a run; as in `[budget] prices`.
    """

    pixels_per_token = 850

    def __init__(  # noqa: PLR0913  each is one decision of the user, and stands in the settings table
        self,
        model: str = "gpt-6-luna",
        *,
        dialogue: str = "structured",
        layout: str = "side-by-side",
        side: int = 512,
        domain: str = "",
        templates: Mapping[str, str] | None = None,
        max_tokens: int = 2_000,
        effort: str | None = None,
        temperature: float | None = None,
        base_url: str | None = None,
        api: str = "auto",
        mode: str = "live",
        timeout_s: float = 120,
        second: Mapping[str, Any] | None = None,
        budget_usd: float | None = None,
        prices: Mapping[str, Mapping[str, JSON]] | None = None,
    ) -> None:
        self.model = model
        self.dialogue = dialogue
        self.layout = layout
        self.side = side
        self.domain = domain
        self.templates = templates
        self.max_tokens = max_tokens
        self.effort = effort
        self.temperature = temperature
        self.base_url = base_url
        self.api = api
        self.mode = mode
        self.timeout_s = timeout_s
        self.second = second
        self.budget_usd = budget_usd
        self.prices = prices

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.api not in APIS:
            raise ConfigError(f"OpenAICritic: api must be one of {', '.join(APIS)}, got {self.api!r}")

    def _check_access(self) -> None:
        need("openai", "openai")
        checked_address(self.base_url)
        if not self._compatible():
            key_from(KEYS, "openai")

    def _connect(self) -> None:
        import openai

        key = os.environ.get(KEYS[0], "").strip()
        # The client insists on a key; servers at home do not.
        client = openai.OpenAI(api_key=key or "none", base_url=self._address(), max_retries=0)
        weakref.finalize(self, client.close)
        self._wire = Wire(client, key, self.timeout_s)
        self._chat = self.api == "chat"

    def _address(self) -> str:
        return self.base_url or os.environ.get("OPENAI_BASE_URL") or ADDRESS

    def _compatible(self) -> bool:
        return self._receiver() != urlsplit(ADDRESS).hostname

    def _asks(self) -> JSON:
        return ["openai", self.model, self.effort, self.temperature]

    def _request(self, question: Question) -> dict[str, Any]:
        request = {"model": self.model, **_responses_api.request(question)}
        if self.effort is not None:
            request["reasoning"] = {"effort": self.effort}
        if self.temperature is not None:
            request["temperature"] = self.temperature
        return request

    def _send(self, request: Mapping[str, JSON]) -> RawReply:
        if not self._chat:
            try:
                return _reply(self._wire.post(self._wire.client.responses, request))
            except CallError as error:
                if self.api != "auto" or not self._compatible() or error.status not in UNKNOWN:
                    raise
        reply = _reply(self._wire.post(self._wire.client.chat.completions, self._as_chat(request)))
        self._chat = True  # asked at once from now on; a wrong model fails either way
        return reply

    def _as_chat(self, request: Mapping[str, JSON]) -> dict[str, Any]:
        return _chat_completions.from_responses(
            request, "max_tokens" if self._compatible() else "max_completion_tokens"
        )

    def _courier(self) -> BatchClient:
        if self._chat:
            return OpenAICourier(self._wire, "/v1/chat/completions", self._as_chat, _reply)
        return OpenAICourier(self._wire, "/v1/responses", dict, _reply)

    def _said(self, body: Mapping[str, JSON]) -> Said:
        return _chat_completions.said(body) if "choices" in body else _responses_api.said(body)


def _reply(body: dict[str, JSON]) -> RawReply:
    usage = body.get("usage")
    return RawReply(body, _chat_completions.used(usage) if "choices" in body else _responses_api.used(usage))
