"""Sends single requests through a provider's SDK, and translates its errors."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from ...calls import CallError, classify, retry_after
from ...calls.error_body import PAGE, read_words
from ...calls.retry import is_unsent, network_error
from ...credentials import KeyMask, Secret, environment_keys, host_of, is_loopback
from ...errors import ConfigError, MissingExtraError
from ...records import JSON
from ._answer_text import map_strings, strip_surrogates
from ._event_stream import join_events
from ._model_reply import DETAIL

LARGEST = 32 * 2**20  # bytes of a response
LARGEST_FILE = 512 * 2**20  # bytes of the results of a batch
NO_STATUS = None  # the outcome of the call is not known: it may be billed
SCHEMES = ("all://", "http://", "https://")  # by which a client finds proxies in the environment
PLACEHOLDER = "none"  # sent as key to a server that gets none: the clients require one


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
        return [self._parse(line) for line in body.split("\n") if line.strip()]

    def _fetch(self, method: Any, *args: Any, largest: int = LARGEST, **kwargs: Any) -> str:
        try:
            with method(*args, **kwargs, timeout=self._timeout_s) as response:
                return self._read_body(response, largest)
        except CallError:
            raise
        except Exception as error:  # noqa: BLE001  any traceback of the SDK may show the key
            raise self._to_call_error(error) from None

    def _read_body(self, response: Any, largest: int) -> str:
        """The body. The time-out of the SDKs is for each chunk, so a slow response is ended here."""
        until, body = time.monotonic() + self._timeout_s, bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if time.monotonic() > until:
                raise self._time_out_error()
            if len(body) > largest:
                raise CallError("item", f"the answer is larger than {largest // 2**20} MiB", status=NO_STATUS)
        return _decode(bytes(body), response.headers.get("content-type", ""))

    def _parse(self, text: str) -> dict[str, JSON]:
        try:
            value = _load_object(text)
            value = map_strings(value, lambda part: self._mask(strip_surrogates(part)))
        except (ValueError, RecursionError, AttributeError, TypeError):
            value = None
        if not isinstance(value, dict):
            words = read_words(text)
            shown = f"the answer is not a JSON object: {self._redact(words)[:120]!r}"
            # A page comes from another server than the one that bills.
            raise CallError("item", shown, status=NO_STATUS, billed=False if words.startswith(PAGE) else None)
        return value

    def _to_call_error(self, error: Any) -> CallError:
        """An error of the SDK as a CallError; without a status if the service did not respond."""
        import httpx2

        status = getattr(error, "status_code", None)
        if status is not None:
            text = error.response.text
            detail = self._redact(read_words(text) or str(error))
            wait = retry_after(dict(error.response.headers), text)
            return CallError(classify(status, detail, wait), detail, status=status, retry_after_s=wait)
        cause: BaseException = error.__cause__ or error
        found = network_error(cause)
        if found.timed_out:
            return self._time_out_error()
        expected = isinstance(error, httpx2.HTTPError) or _is_sdk_error(error) or is_unsent(cause)
        kind = found.kind if expected else "item"  # a mistake of ours or of the SDK will not mend itself
        return CallError(kind, self._redact(found.message), reached=found.reached)

    def _time_out_error(self) -> CallError:
        """The server is there, and takes its time: it is not helped by being asked again."""
        return CallError(
            "retry",
            f"the server took the request, and gave no complete answer within {self._timeout_s:g} seconds; if it is "
            "slow and not broken, raise timeout_s",
            status=NO_STATUS,
            timed_out=True,
        )

    def _redact(self, text: str) -> str:
        return " ".join(self._mask(strip_surrogates(text)).split())[:DETAIL]


def _load_object(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return join_events(text)


def _decode(body: bytes, content_type: str) -> str:
    """A body as text: in Unicode, whatever the header says, else in the encoding that it names, else in Latin.

    What cannot be read is never left out in silence: a class with an accent in its name would become another word.
    """
    stated = re.search(r"charset=[\"']?([\w.:-]+)", content_type, re.I)
    for encoding in (json.detect_encoding(body), *([stated[1]] if stated else []), "cp1252"):
        try:
            return body.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
    return body.decode(errors="replace")


def connect(
    package: str,
    client_class: str,
    key: Secret,
    base_url: str,
    *,
    plugin: str,
    adapt: Callable[[Any], None],
) -> Any:
    """The client of an SDK: it follows no redirect and retries nothing; a server on this machine is called directly.

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
        # A redirect would take the key and the images to a host that nobody checked; a proxy of the environment
        # would take those for a server on this machine to another one.
        direct: dict[str, Any] = {"mounts": dict.fromkeys(SCHEMES)} if is_loopback(host_of(base_url)) else {}
        http = sdk.DefaultHttpxClient(follow_redirects=False, **direct)
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


def require_package(package: str, extra: str, plugin: str) -> None:
    """Raises MissingExtraError if a package is not installed; imports nothing."""
    if find_spec(package) is None:
        raise MissingExtraError(f"{plugin} needs {package}: pip install 'xaiaug[{extra}]'")


def _is_sdk_error(error: Exception) -> bool:
    return any(kind.__name__ in ("AnthropicError", "OpenAIError") for kind in type(error).__mro__)
