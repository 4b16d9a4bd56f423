"""A server on this machine that plays the Anthropic and OpenAI services by a script, and keeps its own bill."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import Self

from ..errors import ConfigError, suggest
from .fake_services.bill import Bill, Book, PriceList, Prices
from .fake_services.descriptions import Descriptions
from .fake_services.protocol import Protocol
from .fake_services.request import Picture, Request
from .fake_services.script import Cut, Delay, Drip, Error, Limit, Player, Raw, Reply, Script, Step
from .fake_services.service import PROTOCOLS, Service, Violation
from .fake_services.wire import Wire

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

TEST_KEY = "not-a-key-only-for-tests-on-loopback"


class Loopback:
    """Plays Anthropic's Messages and OpenAI's Responses and Chat Completions on 127.0.0.1, alone and in batches.

        with Loopback([Error.rate_limit(retry_after=1), Reply("a cat")]) as server:
            client = anthropic.Anthropic(base_url=server.url, api_key="any")

    Requests it does not understand, or without any key, get the service's error and do not reach the script.
    """

    def __init__(
        self,
        script: Script = Reply(),  # noqa: B008
        *,
        prices: Prices = (3, 15),
        descriptions: str | Path | None = None,
        protocols: Collection[str] = ("messages", "responses", "chat"),
        keep: int | None = None,
        batch_polls: int = 0,
        batch_cuts: int = 0,
    ) -> None:
        """Prepare the server; it runs within `with`.

        Args:
            script: A step for every request, a sequence of steps (the last one goes on for ever), or a function of
                the `Request` that gives a step. The function is called for one request at a time.
            prices: Dollars for a million tokens of input and of output; or such a pair for each model, and then
                every other model is answered with 404.
            descriptions: Folder with the services' OpenAPI descriptions, to check requests against.
            protocols: Which of `"messages"`, `"responses"` and `"chat"` are there; the others answer 404.
            keep: How many of the latest requests `requests` keeps; all by default.
            batch_polls: How often a batch is asked for before it has ended.
            batch_cuts: How many batches are taken without their sender learning of it: the connection is closed.

        Raises:
            ConfigError: The script, the prices, the protocols or the folder cannot be used.
            MissingExtraError: `descriptions` is given and `jsonschema` is not installed.
        """
        self._service = Service(
            Player(script),
            PriceList(prices),
            Descriptions(descriptions) if descriptions is not None else None,
            {name: _protocol(name) for name in protocols},
            keep,
            polls=batch_polls,
            cuts=batch_cuts,
        )
        self._book = Book()
        self._wire: Wire | None = None
        self._url = ""

    def __enter__(self) -> Self:
        """Start to listen."""
        self._wire = Wire(self._service.respond, self._book)
        self._url = f"http://127.0.0.1:{self._wire.port}"
        threading.Thread(target=self._wire.serve_forever, args=(0.02,), name="loopback", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Stop; raises what the script raised, unless something else is being raised already."""
        if self._wire is None:
            return
        wire, self._wire = self._wire, None
        wire.stop()
        failures = [*self._service.failures, *wire.failures]
        if error is None and failures:
            raise failures[0]

    @property
    def url(self) -> str:
        """Where the server listens, like `http://127.0.0.1:40123`; the OpenAI client wants `/v1` behind it."""
        if not self._url:
            raise ConfigError("Loopback: the server has no address yet; use it within `with Loopback(...) as server:`.")
        return self._url

    @property
    def requests(self) -> list[Request]:
        """The requests that reached the script, in the order of arrival."""
        return list(self._service.requests)

    @property
    def batch_files(self) -> int:
        """Batches of Anthropic's and files of OpenAI's that nobody has deleted."""
        return self._service.batching.kept

    @property
    def violations(self) -> list[Violation]:
        """The requests that did not fit, with the reasons they were told."""
        return list(self._service.violations)

    @property
    def bill(self) -> Bill:
        """Successful replies with usage that were handed over whole."""
        return self._book.bill

    @property
    def lost(self) -> Bill:
        """Successful replies with usage that were made but cut, or whose client had gone; a real service bills them.

        Complete once the server has stopped, since it learns late that a client has gone.
        """
        return self._book.lost

    @property
    def statuses(self) -> Counter[int]:
        """How many answers of each HTTP status were handed over whole."""
        return self._book.statuses

    def environment(self) -> dict[str, str]:
        """Environment variables that send the real SDKs here, with keys that open nothing."""
        direct = ",".join(filter(None, [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), "127.0.0.1"]))
        return {
            "ANTHROPIC_BASE_URL": self.url,
            "ANTHROPIC_API_KEY": TEST_KEY,
            "OPENAI_BASE_URL": f"{self.url}/v1",
            "OPENAI_API_KEY": TEST_KEY,
            "NO_PROXY": direct,
            "no_proxy": direct,
        }


def _protocol(name: str) -> Protocol:
    if name not in PROTOCOLS:
        raise ConfigError(f"Loopback: there is no protocol {name!r}. {suggest(name, PROTOCOLS)}")
    return PROTOCOLS[name]
