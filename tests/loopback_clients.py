"""The real SDKs, asked through one function whatever the protocol."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

PROTOCOLS = ("messages", "responses", "chat")
FIXTURES = Path(__file__).resolve().parents[2] / "shared" / "data" / "api-fixtures"
DESCRIPTIONS = FIXTURES / "openapi"
SCHEMA = {
    "type": "object",
    "properties": {
        "cause": {"type": "string"},
        "attended": {"type": "string", "enum": ["subject", "background"]},
        "prompt": {"type": "string"},
    },
    "required": ["cause", "attended", "prompt"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Heard:
    """A reply as the SDK hands it over: all its text, why it stopped, and the usage it tells."""

    text: str
    stop: str
    usage: tuple[int, int]
    raw: Any


class Clients:
    """One client of each SDK, pointed at any server; retries are off, so that each call is one request."""

    def __init__(self, anthropic: Any, openai: Any) -> None:
        self.modules = {"messages": anthropic, "responses": openai, "chat": openai}
        self._anthropic = anthropic.Anthropic(base_url="http://127.0.0.1:9", api_key="k-canary", max_retries=0)
        self._openai = openai.OpenAI(base_url="http://127.0.0.1:9", api_key="k-canary", max_retries=0)

    def at(self, protocol: str, server: Any, **options: Any) -> Any:
        if protocol == "messages":
            return self._anthropic.copy(base_url=server.url, **options)
        return self._openai.copy(base_url=f"{server.url}/v1", **options)

    def ask(self, protocol: str, server: Any, *content: Any, timeout: float = 60.0, **settings: Any) -> Heard:
        """Ask one user message of texts and images; `schema` and further settings go into the request."""
        return getattr(self, f"_{protocol}")(
            self.at(protocol, server, timeout=timeout), content or ("hello",), settings
        )

    def close(self) -> None:
        self._anthropic.close()
        self._openai.close()

    def _messages(self, client: Any, content: tuple, settings: dict) -> Heard:
        if schema := settings.pop("schema", None):
            settings["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
        parts = [
            {"type": "text", "text": part}
            if isinstance(part, str)
            else {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": encoded(part)}}
            for part in content
        ]
        messages = [{"role": "user", "content": parts}]
        got = client.messages.create(**{"model": "a-model", "max_tokens": 1000, "messages": messages, **settings})
        text = "".join(block.text for block in got.content if block.type == "text")
        return Heard(text, got.stop_reason, (got.usage.input_tokens, got.usage.output_tokens), got)

    def _responses(self, client: Any, content: tuple, settings: dict) -> Heard:
        if schema := settings.pop("schema", None):
            settings["text"] = {"format": {"type": "json_schema", "name": "out", "schema": schema, "strict": True}}
        parts = [
            {"type": "input_text", "text": part}
            if isinstance(part, str)
            else {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{encoded(part)}"}
            for part in content
        ]
        got = client.responses.create(model="a-model", input=[{"role": "user", "content": parts}], **settings)
        stop = got.incomplete_details.reason if got.incomplete_details else got.status
        return Heard(got.output_text, stop, (got.usage.input_tokens, got.usage.output_tokens), got)

    def _chat(self, client: Any, content: tuple, settings: dict) -> Heard:
        if schema := settings.pop("schema", None):
            form = {"name": "out", "schema": schema, "strict": True}
            settings["response_format"] = {"type": "json_schema", "json_schema": form}
        parts = [
            {"type": "text", "text": part}
            if isinstance(part, str)
            else {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded(part)}"}}
            for part in content
        ]
        messages = [{"role": "user", "content": parts}]
        got = client.chat.completions.create(model="a-model", messages=messages, **settings)
        usage = (got.usage.prompt_tokens, got.usage.completion_tokens)
        # A reply that a filter cut may come without any message.
        text = getattr(got.choices[0].message, "content", None) or ""
        return Heard(text, got.choices[0].finish_reason, usage, got)


@pytest.fixture(scope="session", name="clients")
def sdk_clients():
    made = Clients(pytest.importorskip("anthropic"), pytest.importorskip("openai"))
    yield made
    made.close()


def encoded(image: bytes) -> str:
    return base64.b64encode(image).decode()


def png(width: int = 60, height: int = 50, form: str = "PNG") -> bytes:
    file = BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, form)
    return file.getvalue()


def described() -> Path:
    """The folder of API descriptions, or a skip."""
    pytest.importorskip("jsonschema")
    if not DESCRIPTIONS.is_dir():
        pytest.skip("the API descriptions are not beside this checkout")
    return DESCRIPTIONS
