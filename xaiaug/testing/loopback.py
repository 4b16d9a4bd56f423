"""A local server that stands in for Anthropic's and OpenAI's services by a script, and keeps a bill."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import Self

from ..errors import ConfigError, suggest
from .fake_services.bill import Bill, BillingRecord, PriceList, PriceTable
from .fake_services.http_server import HttpServer
from .fake_services.openapi import ApiDescriptions
from .fake_services.protocol import Protocol
from .fake_services.request import Picture, Request
from .fake_services.script import Cut, Delay, Drip, Error, Limit, Player, Raw, Reply, Script, Step
from .fake_services.service import PROTOCOLS, Service, Violation

__all__ = [
    "Bill",
    "Cut",
    "Delay",
    "Drip",
    "Error",
    "Limit",
    "Loopback",
    "Picture",
    "Raw",
    "Reply",
    "Request",
    "Step",
    "Violation",
]

# Prefixes of the variables of providers with OpenAI's API.
OPENAI_LIKE = ("OPENAI", "AZURE_OPENAI", "GEMINI", "OPENROUTER", "OLLAMA", "VLLM", "LMSTUDIO")
TEST_KEY = "not-a-key-only-for-tests-on-loopback"


class Loopback:
    """Stands in for Anthropic's Messages and OpenAI's Responses, Chat Completions and Images, on 127.0.0.1.

        with Loopback([Error.rate_limit(retry_after=1), Reply("a cat")]) as server:
            client = anthropic.Anthropic(base_url=server.url, api_key="any")

    Texts are taken in batches too. Invalid requests, and those without a key, get the service's error and do not reach
    the script.
    """

    def __init__(
        self,
        script: Script = Reply(),  # noqa: B008
        *,
        prices: PriceTable = (3, 15),
        descriptions: str | Path | None = None,
        protocols: Collection[str] = ("messages", "responses", "chat", "image-generations", "image-edits"),
        keep: int | None = None,
        batch_polls: int = 0,
        batch_cuts: int = 0,
    ) -> None:
        """Prepares the server; it runs within `with`.

        Args:
            script: a step for every request, a sequence of steps (the last one is repeated), or a function from the
                `Request` to a step. The function is called for one request at a time.
            prices: dollars per million tokens of input and of output; or such a pair for each model, and then any
                other model is answered with 404.
            descriptions: folder with the services' OpenAPI descriptions, to validate requests.
            protocols: the available ones of `"messages"`, `"responses"`, `"chat"`, `"image-generations"` and
                `"image-edits"`; the others answer 404.
            keep: number of latest requests that `requests` keeps; None: all.
            batch_polls: number of polls before a batch has ended.
            batch_cuts: number of batches that are created without a response: the connection is closed.

        Raises:
            ConfigError: the script, the prices, the protocols or the folder are not valid.
            MissingExtraError: `descriptions` is given and `jsonschema` is not installed.
        """
        self._service = Service(
            Player(script),
            PriceList(prices),
            ApiDescriptions(descriptions) if descriptions is not None else None,
            {name: _protocol(name) for name in protocols},
            keep,
            polls=batch_polls,
            cuts=batch_cuts,
        )
        self._billing = BillingRecord()
        self._server: HttpServer | None = None
        self._url = ""

    def __enter__(self) -> Self:
        """Starts to listen."""
        self._server = HttpServer(self._service.respond, self._billing)
        self._url = f"http://127.0.0.1:{self._server.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name="loopback", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Stops; raises an error of the script, unless another one is being raised already."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.stop()
        failures = [*self._service.failures, *server.failures]
        if error is None and failures:
            raise failures[0]

    @property
    def url(self) -> str:
        """Address of the server, such as `http://127.0.0.1:40123`; the OpenAI client needs `/v1` after it."""
        if not self._url:
            raise ConfigError("Loopback: the server has no address yet; use it within `with Loopback(...) as server:`")
        return self._url

    @property
    def requests(self) -> list[Request]:
        """The requests that reached the script, in the order of arrival."""
        return list(self._service.requests)

    @property
    def batch_files(self) -> int:
        """Number of batches of Anthropic's and files of OpenAI's that were not deleted."""
        return self._service.batches.kept

    @property
    def violations(self) -> list[Violation]:
        """The requests that were rejected, with the reasons."""
        return list(self._service.violations)

    @property
    def bill(self) -> Bill:
        """Successful replies with usage that were delivered completely."""
        return self._billing.bill

    @property
    def lost(self) -> Bill:
        """Successful replies with usage that were cut, or whose client had disconnected; a real service bills them.

        Complete once the server has stopped, since it notices late that a client has disconnected.
        """
        return self._billing.lost

    @property
    def statuses(self) -> Counter[int]:
        """Number of responses of each HTTP status that were delivered completely."""
        return self._billing.statuses

    def environment(self) -> dict[str, str]:
        """Environment variables that point the real SDKs to this server, with worthless keys that it may get."""
        direct = ",".join(filter(None, [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), "127.0.0.1"]))
        return {
            "ANTHROPIC_BASE_URL": self.url,
            "ANTHROPIC_API_KEY": TEST_KEY,
            **{f"{name}_BASE_URL": f"{self.url}/v1" for name in OPENAI_LIKE},
            **{f"{name}_API_KEY": TEST_KEY for name in OPENAI_LIKE},
            "XAIAUG_TRUSTED_HOSTS": ",".join(filter(None, [os.environ.get("XAIAUG_TRUSTED_HOSTS"), "127.0.0.1"])),
            "NO_PROXY": direct,
            "no_proxy": direct,
        }


def _protocol(name: str) -> Protocol:
    if name not in PROTOCOLS:
        raise ConfigError(f"Loopback: there is no protocol {name!r}. {suggest(name, PROTOCOLS)}")
    return PROTOCOLS[name]
