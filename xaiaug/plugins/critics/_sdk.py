"""Sends single requests through a provider's SDK, and translates its errors."""

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

LARGEST = 32 * 2**20  # bytes of a response
LARGEST_FILE = 512 * 2**20  # bytes of the results of a batch
NO_STATUS = None  # the outcome of the call is not known: it may be billed
TOKEN_NAMES = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
UNKNOWN_USAGE = {"unknown": 1}  # a unit without a price, so that the worst case counts


class SdkClient:
    """A client of an SDK, without the SDK's own retries.

    Args:
        sdk: a client of anthropic or openai; both are made by the same generator and behave alike.
        secret: the key; removed from every error and response.
        timeout_s: maximum duration of a call in seconds, however slowly the response arrives.
    """

    def __init__(self, sdk: Any, secret: str, timeout_s: float) -> None:
        self.sdk, self._secret, self._timeout_s = sdk, secret, timeout_s

    def post(self, resource: Any, request: Mapping[str, JSON]) -> dict[str, JSON]:
        """The body of a successful response.

        Args:
            resource: of the SDK's client, such as `client.messages`.
            request: arguments of its `create`.

        Raises:
            CallError: the service or the network failed, or the response is not a JSON object.
        """
        return self.request(resource.with_streaming_response.create, **request)

    def request(self, method: Any, *args: Any, **kwargs: Any) -> dict[str, JSON]:
        """The body of a successful response to any call.

        Args:
            method: of a resource's `with_streaming_response`.
            args: positional arguments of the method.
            kwargs: keyword arguments of the method.

        Raises:
            CallError: as in `post`.
        """
        return self._parse(self._fetch(method, *args, **kwargs))

    def request_lines(self, method: Any, *args: Any) -> list[dict[str, JSON]]:
        """The body of a successful response with a JSON object on every line.

        Raises:
            CallError: as in `post`.
        """
        body = self._fetch(method, *args, largest=LARGEST_FILE)
        return [self._parse(line) for line in body.splitlines() if line.strip()]

    def _fetch(self, method: Any, *args: Any, largest: int = LARGEST, **kwargs: Any) -> bytes:
        import httpx2

        try:
            with method(*args, **kwargs, timeout=self._timeout_s) as response:
                return self._read_body(response, largest)
        except httpx2.HTTPError as error:
            raise self._network_error(error) from None
        except Exception as error:
            if not _is_sdk_error(error):
                raise
            raise self._to_call_error(error) from None

    def _read_body(self, response: Any, largest: int) -> bytes:
        """The body. The time-out of the SDKs is for each chunk, so a slow response is ended here."""
        until, body = time.monotonic() + self._timeout_s, bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if time.monotonic() > until:
                raise CallError("retry", f"no complete answer within {self._timeout_s:g} seconds", status=NO_STATUS)
            if len(body) > largest:
                raise CallError("item", f"the answer is larger than {largest // 2**20} MiB", status=NO_STATUS)
        return bytes(body)

    def _parse(self, body: bytes) -> dict[str, JSON]:
        text = body.decode(errors="replace")
        if self._secret:
            text = text.replace(self._secret, "[key]")
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise CallError("item", f"the answer is not a JSON object: {self._redact(text[:80])!r}", status=NO_STATUS)
        return value

    def _to_call_error(self, error: Any) -> CallError:
        """An error of the SDK as a CallError; without a status if the service did not respond."""
        status = getattr(error, "status_code", None)
        if status is None:
            return self._network_error(error)
        detail = self._redact(error_detail(error.body) or str(error))
        return CallError(
            classify(status, detail), detail, status=status, retry_after_s=retry_after(dict(error.response.headers))
        )

    def _network_error(self, error: Exception) -> CallError:
        cause: BaseException = error.__cause__ or error
        # Without a connection nothing was sent, so nothing can be billed.
        reached = type(cause).__name__ not in ("ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol")
        return CallError("retry", self._redact(f"{type(cause).__name__}: {cause}"), reached=reached)

    def _redact(self, text: str) -> str:
        line = " ".join(text.split())[:500]
        return line.replace(self._secret, "[key]") if self._secret else line


def error_detail(body: Any) -> str:
    """Type, code and message of the error in a response body; empty if there is none."""
    error = body.get("error", body) if isinstance(body, Mapping) else None
    if not isinstance(error, Mapping):
        return ""
    words = [error.get(name) for name in ("type", "code", "message")]
    return ": ".join(dict.fromkeys(str(word) for word in words if word))


def to_usage(usage: Any, paths: Sequence[str]) -> dict[str, int]:
    """A service's report of the tokens used, under our names.

    Args:
        usage: as reported by the service.
        paths: of each of `TOKEN_NAMES` in it, with dots between nested names.

    Returns:
        `UNKNOWN_USAGE` if input or output tokens are not reported, or a value is not a count.
    """
    counts = [_look_up(usage, path) for path in paths]
    if None in counts[:2] or not all(count is None or (isinstance(count, int) and count >= 0) for count in counts):
        return dict(UNKNOWN_USAGE)
    return {name: count or 0 for name, count in zip(TOKEN_NAMES, counts, strict=True)}


def read_key(names: Sequence[str], critic: str) -> str:
    """The API key: the value of the first of these environment variables that is set.

    Raises:
        ConfigError: none is set.
    """
    for name in names:
        if os.environ.get(name, "").strip():
            return os.environ[name].strip()
    raise ConfigError(f"the critic {critic!r} needs a key: set the environment variable {names[0]}")


def require_package(package: str, extra: str) -> None:
    """Raises MissingExtraError if a package is not installed; imports nothing."""
    if find_spec(package) is None:
        raise MissingExtraError(f"the critic {extra!r} needs {package}: pip install 'xaiaug[{extra}]'")


def check_address(base_url: str | None) -> None:
    """Raises ConfigError if the address of a server is invalid, or contains a key, name or password."""
    if base_url is None:
        return
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError('base_url must be the address of a server such as "http://localhost:11434/v1"')
    if parts.username or parts.password or parts.query:
        raise ConfigError("base_url must not contain a key, name or password: set the key in the environment")


def _is_sdk_error(error: Exception) -> bool:
    return any(kind.__name__ in ("AnthropicError", "OpenAIError") for kind in type(error).__mro__)


def _look_up(usage: Any, path: str) -> Any:
    for name in path.split("."):
        usage = usage.get(name) if isinstance(usage, Mapping) else None
    return usage
