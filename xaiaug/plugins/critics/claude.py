"""The critic that asks Claude, by Anthropic's Messages API."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from typing import Any

from ...errors import ConfigError
from ...records import JSON, BatchClient, RawReply
from ._claude_batches import ClaudeCourier
from ._conversation import Question, Said, Turn
from ._remote_critic import RemoteCritic
from ._sdk import Wire, billed, checked_address, key_from, need

KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
ADDRESS = "https://api.anthropic.com"
EFFORTS = ("low", "medium", "high", "xhigh", "max")


class ClaudeCritic(RemoteCritic):
    """Shows Claude the panel and the two classes; the key comes from ANTHROPIC_API_KEY.

    Args:
        model: as Anthropic names it.
        dialogue: "structured" (one call, bound to a schema) or "paper" (an analysis, then the prompt alone).
        layout: of the panel: "side-by-side", "overlay", "masked" or "image-only".
        side: width of the panel in pixels, at least 200.
        domain: one line on what the images are, such as "chest X-rays of adults"; may be empty.
        templates: texts in place of ours, by name.
        max_tokens: most an answer may take, thinking included.
        effort: "low" to "max"; None leaves it to the model.
        thinking: "adaptive" or "disabled", for models that know it; None leaves it to the model.
        base_url: of a server that speaks this protocol; None: ANTHROPIC_BASE_URL, else Anthropic's own.
        mode: "live", or "batch": all calls wait for one another, come back within a day, and cost half.
        timeout_s: most seconds a call may take.
        second: table of a critic that takes what this one declines: {"name": "openai", …}.
        budget_usd: most that may be spent outside a run; in a run its own budget counts.
        prices: by model, for use outside a run; as in `[budget] prices`.
    """

    def __init__(  # noqa: PLR0913  each is one decision of the user, and stands in the settings table
        self,
        model: str = "claude-haiku-5-5",
        *,
        dialogue: str = "structured",
        layout: str = "side-by-side",
        side: int = 512,
        domain: str = "",
        templates: Mapping[str, str] | None = None,
        max_tokens: int = 2_000,
        effort: str | None = None,
        thinking: str | None = None,
        base_url: str | None = None,
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
        self.thinking = thinking
        self.base_url = base_url
        self.mode = mode
        self.timeout_s = timeout_s
        self.second = second
        self.budget_usd = budget_usd
        self.prices = prices

    def _check_parameters(self) -> None:
        super()._check_parameters()
        for name, known in (("effort", EFFORTS), ("thinking", ("adaptive", "disabled"))):
            if getattr(self, name) not in (None, *known):
                raise ConfigError(
                    f"ClaudeCritic: {name} must be one of {', '.join(known)}, got {getattr(self, name)!r}"
                )

    def _check_access(self) -> None:
        need("anthropic", "claude")
        checked_address(self.base_url)
        key_from(KEYS, "claude")

    def _connect(self) -> None:
        import anthropic

        key = key_from(KEYS, "claude")
        how = {"api_key": key} if os.environ.get(KEYS[0], "").strip() else {"auth_token": key}
        client = anthropic.Anthropic(**how, base_url=self._address(), max_retries=0)  # type: ignore[arg-type]
        weakref.finalize(self, client.close)
        self._wire = Wire(client, key, self.timeout_s)

    def _address(self) -> str:
        return self.base_url or os.environ.get("ANTHROPIC_BASE_URL") or ADDRESS

    def _asks(self) -> JSON:
        return ["claude", self.model, self.effort, self.thinking]

    def _request(self, question: Question) -> dict[str, Any]:
        output = {"effort": self.effort} if self.effort else {}
        if question.schema is not None:
            output["format"] = {"type": "json_schema", "schema": question.schema}  # type: ignore[assignment]
        request: dict[str, Any] = {
            "model": self.model,
            "max_tokens": question.max_tokens,
            "system": question.system,
            "messages": [{"role": turn.role, "content": _content(turn)} for turn in question.turns],
        }
        if output:
            request["output_config"] = output
        if self.thinking:
            request["thinking"] = {"type": self.thinking}
        return request

    def _send(self, request: Mapping[str, JSON]) -> RawReply:
        body = self._wire.post(self._wire.client.messages, request)
        return RawReply(body, used(body.get("usage") or {}))

    def _courier(self) -> BatchClient:
        return ClaudeCourier(self._wire, used)

    def _said(self, body: Mapping[str, JSON]) -> Said:
        return said(body)


def used(usage: Any) -> dict[str, int]:
    """What is billed. The service tells cached tokens beside the input, not within it."""
    told = billed(usage, ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"))
    cached = told.get("cache_read_tokens", 0) + told.get("cache_write_tokens", 0)
    return {**told, "input_tokens": told["input_tokens"] + cached} if cached else told


def said(body: Mapping[str, Any]) -> Said:
    """What a message says: its text blocks, without the thinking that comes before them."""
    stop = body.get("stop_reason")
    if stop == "refusal":
        details = body.get("stop_details") or {}
        return Said(str(details.get("explanation") or ""), "refusal", str(details.get("category") or ""))
    blocks = body.get("content") or []
    text = "".join(str(block.get("text") or "") for block in blocks if block.get("type") == "text")
    return Said(text, "length" if stop in ("max_tokens", "model_context_window_exceeded") else "end")


def _content(turn: Turn) -> list[dict[str, Any]]:
    text = {"type": "text", "text": turn.text}
    if turn.picture is None:
        return [text]
    source = {"type": "base64", "media_type": turn.picture.media_type, "data": turn.picture.base64}
    return [{"type": "image", "source": source}, text]
