"""Sends one request through a provider's SDK, once, and says in our words what went wrong."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from ...calls import CallError, classify, retry_after
from ...errors import ConfigError, MissingExtraError
from ...records import JSON

LARGEST = 32 * 2**20  # bytes of an answer that are read
LARGEST_FILE = 512 * 2**20  # likewise, of the results of a batch
UNANSWERED = None  # the status of a call nobody knows the end of: it may be billed


class Wire:
    """One client of an SDK, with its own retries switched off.

    Args:
        client: of anthropic or openai; both are made by the same generator and behave alike.
        secret: the key; never told by any error or kept in any answer.
        timeout_s: most seconds a whole call may take, however slowly it drips.
    """

    def __init__(self, client: Any, secret: str, timeout_s: float) -> None:
        self.client, self._secret, self._timeout_s = client, secret, timeout_s

    def post(self, resource: Any, request: Mapping[str, JSON]) -> dict[str, JSON]:
        """The body of a successful answer.

        Args:
            resource: of the client, such as `client.messages`.
            request: arguments of its `create`.

        Raises:
            CallError: the service or the network failed, or answered with something that is no JSON object.
        """
        return self.ask(resource.with_streaming_response.create, **request)

    def ask(self, method: Any, *given: Any, **named: Any) -> dict[str, JSON]:
        """The body of a successful answer to any call.

        Args:
            method: of the client, from its `with_streaming_response`.
            given: arguments of it.
            named: likewise, by name.

        Raises:
            CallError: as from `post`.
        """
        return self._parsed(self.fetch(method, *given, **named))

    def lines(self, method: Any, *given: Any) -> list[dict[str, JSON]]:
        """The body of a successful answer that has a JSON object on every line.

        Raises:
            CallError: as from `post`.
        """
        body = self.fetch(method, *given, largest=LARGEST_FILE)
        return [self._parsed(line) for line in body.splitlines() if line.strip()]

    def fetch(self, method: Any, *given: Any, largest: int = LARGEST, **named: Any) -> bytes:
        """The bytes of a successful answer, of which no more than `largest` are read.

        Raises:
            CallError: the service or the network failed.
        """
        import httpx2

        try:
            with method(*given, **named, timeout=self._timeout_s) as response:
                return self._read(response, largest)
        except httpx2.HTTPError as error:
            raise self._broken(error) from None
        except Exception as error:
            if not _of_an_sdk(error):
                raise
            raise self._told(error) from None

    def _read(self, response: Any, largest: int) -> bytes:
        """The body: `timeout` of the SDKs is for each piece, so a slow drip is ended here."""
        until, body = time.monotonic() + self._timeout_s, bytearray()
        for piece in response.iter_bytes():
            body += piece
            if time.monotonic() > until:
                raise CallError("retry", f"no whole answer within {self._timeout_s:g} seconds", status=UNANSWERED)
            if len(body) > largest:
                raise CallError("item", f"the answer is larger than {largest // 2**20} MiB", status=UNANSWERED)
        return bytes(body)

    def _parsed(self, body: bytes) -> dict[str, JSON]:
        text = body.decode(errors="replace")
        if self._secret:
            text = text.replace(self._secret, "[key]")
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise CallError("item", f"the answer is no JSON object: {self._safe(text[:80])!r}", status=UNANSWERED)
        return found

    def _told(self, error: Any) -> CallError:
        """An error of the SDK: with a status where the service answered, without where nobody did."""
        status = getattr(error, "status_code", None)
        if status is None:
            return self._broken(error)
        detail = self._safe(_detail(error))
        return CallError(
            classify(status, detail), detail, status=status, retry_after_s=retry_after(dict(error.response.headers))
        )

    def _broken(self, error: Exception) -> CallError:
        cause: BaseException = error.__cause__ or error
        # Nothing was sent where no connection came about, so nothing can be billed.
        reached = type(cause).__name__ not in ("ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol")
        return CallError("retry", self._safe(f"{type(cause).__name__}: {cause}"), reached=reached)

    def _safe(self, text: str) -> str:
        line = " ".join(text.split())[:500]
        return line.replace(self._secret, "[key]") if self._secret else line


def _of_an_sdk(error: Exception) -> bool:
    return any(kind.__name__ in ("AnthropicError", "OpenAIError") for kind in type(error).__mro__)


def _detail(error: Any) -> str:
    return told_by(error.body) or str(error)


def told_by(body: Any) -> str:
    """Type, code and message of an error as a service tells them; empty where it tells none."""
    told = body.get("error", body) if isinstance(body, Mapping) else None
    if not isinstance(told, Mapping):
        return ""
    words = [told.get(name) for name in ("type", "code", "message")]
    return ": ".join(dict.fromkeys(str(word) for word in words if word))


def key_from(names: Sequence[str], who: str) -> str:
    """The first of these environment variables that is set.

    Raises:
        ConfigError: none is.
    """
    for name in names:
        if os.environ.get(name, "").strip():
            return os.environ[name].strip()
    raise ConfigError(f"the critic {who!r} needs a key: set the environment variable {names[0]}")


def need(package: str, extra: str) -> None:
    """Raises MissingExtraError when a package is not installed; imports nothing."""
    if find_spec(package) is None:
        raise MissingExtraError(f"the critic {extra!r} needs {package}: pip install 'xaiaug[{extra}]'")


def checked_address(base_url: str | None) -> str | None:
    """The address of a server.

    Raises:
        ConfigError: it is none, or holds a name and password.
    """
    if base_url is None:
        return None
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError('base_url must be the address of a server such as "http://localhost:11434/v1"')
    if parts.username or parts.password or parts.query:
        raise ConfigError("base_url must hold no key, name or password: keys come from the environment alone")
    return base_url


NAMES = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
UNTOLD = {"untold": 1}  # a unit that has no price: the worst case counts


def billed(usage: Any, paths: Sequence[str]) -> dict[str, int]:
    """Tokens by our names.

    Args:
        usage: as the service told it.
        paths: where each of `NAMES` stands in it, with a dot before each inner name.

    Returns:
        `UNTOLD` where it does not tell the tokens of input and output, or tells what is no count.
    """
    found = [_at(usage, path) for path in paths]
    if None in found[:2] or not all(value is None or (isinstance(value, int) and value >= 0) for value in found):
        return dict(UNTOLD)
    return {name: value or 0 for name, value in zip(NAMES, found, strict=True)}


def _at(usage: Any, path: str) -> Any:
    for name in path.split("."):
        usage = usage.get(name) if isinstance(usage, Mapping) else None
    return usage
