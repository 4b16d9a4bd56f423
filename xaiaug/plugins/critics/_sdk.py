"""Sends single requests through a provider's SDK, and translates its errors."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from ...calls import CallError, classify, retry_after
from ...calls.prices import UNKNOWN_USAGE
from ...calls.retry import is_unsent, network_error
from ...credentials import KeyMask, Secret, environment_keys
from ...errors import ConfigError, MissingExtraError
from ...records import JSON
from ._parsing import map_strings, strip_surrogates

LARGEST = 32 * 2**20  # bytes of a response
LARGEST_FILE = 512 * 2**20  # bytes of the results of a batch
NO_STATUS = None  # the outcome of the call is not known: it may be billed
TOKEN_NAMES = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
PLACEHOLDER = "none"  # sent as key to a server that gets none: the clients require one
DETAIL = 500  # characters of an error that are kept


class SdkClient:
    """A client of an SDK, without the SDK's own retries.

    Args:
        sdk: a client of anthropic or openai; both are made by the same generator and behave alike.
        secret: the key; masked in every error and response, as are all keys of the environment.
        timeout_s: maximum duration of a call in seconds, however slowly the response arrives.
    """

    def __init__(self, sdk: Any, secret: Secret, timeout_s: float) -> None:
        self.sdk, self._mask, self._timeout_s = sdk, KeyMask(secret, *environment_keys()), timeout_s

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
        try:
            with method(*args, **kwargs, timeout=self._timeout_s) as response:
                return self._read_body(response, largest)
        except CallError:
            raise
        except Exception as error:  # noqa: BLE001  any traceback of the SDK may show the key
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
        try:
            value = map_strings(json.loads(text), lambda part: self._mask(strip_surrogates(part)))
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise CallError("item", f"the answer is not a JSON object: {self._redact(text)[:80]!r}", status=NO_STATUS)
        return value

    def _to_call_error(self, error: Any) -> CallError:
        """An error of the SDK as a CallError; without a status if the service did not respond."""
        import httpx2

        status = getattr(error, "status_code", None)
        if status is not None:
            detail = self._redact(error_detail(error.body) or str(error))
            wait = retry_after(dict(error.response.headers))
            return CallError(classify(status, detail), detail, status=status, retry_after_s=wait)
        cause: BaseException = error.__cause__ or error
        found = network_error(cause)
        expected = isinstance(error, httpx2.HTTPError) or _is_sdk_error(error) or is_unsent(cause)
        kind = found.kind if expected else "item"  # a mistake of ours or of the SDK will not mend itself
        return CallError(kind, self._redact(found.message), reached=found.reached)

    def _redact(self, text: str) -> str:
        return " ".join(self._mask(strip_surrogates(text)).split())[:DETAIL]


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


def connect(
    package: str,
    client_class: str,
    key: Secret,
    base_url: str,
    *,
    plugin: str,
    adapt: Callable[[Any], None],
) -> Any:
    """The client of an SDK: it follows no redirect and retries nothing.

    Args:
        package: anthropic or openai.
        client_class: name of the client in it.
        key: of the service; a server that gets none gets no headers of the environment either.
        base_url: of the server.
        plugin: for the message of the error.
        adapt: gets the client, and changes what its service needs.

    Raises:
        ConfigError: it cannot be made; without the traceback of the SDK, which may show the key.
    """
    sdk = import_module(package)
    try:
        # A redirect would take the key and the images to a host that nobody checked.
        http = sdk.DefaultHttpxClient(follow_redirects=False)
        client = getattr(sdk, client_class)(
            api_key=key.reveal() or PLACEHOLDER, base_url=base_url, max_retries=0, http_client=http
        )
        if not key:
            client._custom_headers = {}  # those of the environment (ANTHROPIC_CUSTOM_HEADERS)
        adapt(client)
        return client
    except Exception as error:  # noqa: BLE001
        reason = f"{plugin}: the client cannot be made ({type(error).__name__}); check base_url and the key"
    raise ConfigError(reason)


def require_package(package: str, extra: str) -> None:
    """Raises MissingExtraError if a package is not installed; imports nothing."""
    if find_spec(package) is None:
        raise MissingExtraError(f"the critic {extra!r} needs {package}: pip install 'xaiaug[{extra}]'")


def _is_sdk_error(error: Exception) -> bool:
    return any(kind.__name__ in ("AnthropicError", "OpenAIError") for kind in type(error).__mro__)


def _look_up(usage: Any, path: str) -> Any:
    for name in path.split("."):
        usage = usage.get(name) if isinstance(usage, Mapping) else None
    return usage
