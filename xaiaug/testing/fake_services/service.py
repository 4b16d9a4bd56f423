"""The stand-in services: from a request to its response."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .anthropic import Messages
from .batch_api import BatchApi, RequestOutcome
from .bill import Bill, PriceList
from .http_server import BEFORE_HEADERS, Response
from .openai import Chat, Responses
from .openai_images import ImageEdits, ImageGenerations, read_multipart, to_plain
from .openapi import ApiDescriptions
from .protocol import Protocol
from .request import MisfitError, Request
from .script import Error, Pace, Player, Raw, Reply

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol for protocol in (Messages(), Responses(), Chat(), ImageGenerations(), ImageEdits())
}
JSON_TYPE = "application/json"
BATCH_PATHS = {"/v1/messages/batches", "/v1/batches"}
KEY_HEADERS = {"x-api-key", "authorization"}
PRIVATE_HEADERS = {*KEY_HEADERS, "cookie", "proxy-authorization", "openai-organization", "openai-project"}
ID_HEADERS = {"anthropic": "request-id", "openai": "x-request-id"}


@dataclass(frozen=True)
class Violation:
    """A request that was rejected with HTTP 400, as the service would.

    Attributes:
        protocol: `"messages"`, `"responses"`, `"chat"`, `"image-generations"` or `"image-edits"`.
        reason: the message sent to the client.
        body: the parsed JSON; None if it was not JSON.
    """

    protocol: str
    reason: str
    body: Any = field(repr=False)


class Service:
    """Answers requests of several protocols by one script; threads may share it.

    Attributes:
        requests: requests that reached the script.
        violations: requests that were rejected.
        failures: errors raised by the script.
    """

    def __init__(
        self,
        player: Player,
        prices: PriceList,
        descriptions: ApiDescriptions | None,
        protocols: Mapping[str, Protocol],
        keep: int | None,
        *,
        polls: int = 0,
        cuts: int = 0,
    ) -> None:
        self._player, self._prices, self._descriptions = player, prices, descriptions
        self._protocols = {protocol.path: protocol for protocol in protocols.values()}
        self._lock = threading.Lock()
        self._count = 0
        self.batches = BatchApi(self._play_batched, polls, cuts)
        self.requests: deque[Request] = deque(maxlen=keep)
        self.violations: list[Violation] = []
        self.failures: list[Exception] = []

    def respond(self, method: str, path: str, headers: Mapping[str, str], raw: bytes | None) -> Response:
        """The response to a request; `raw` is None if the body was too large."""
        plain = path.partition("?")[0]
        protocol = self._protocols.get(plain)
        if protocol is None:
            protocol = PROTOCOLS["messages" if "anthropic-version" in headers else "chat"]
            response = self._respond_batch(protocol, method, plain, headers, raw)
            response = response or Error(404, f"There is no stand-in at {path}.")
            return to_response(protocol, response) if isinstance(response, Error) else response
        request = _check_method_and_key(method, headers) or self._read(protocol, path, headers, raw)
        return to_response(protocol, request) if isinstance(request, Error) else self._play(protocol, request)

    def _respond_batch(
        self, protocol: Protocol, method: str, path: str, headers: Mapping[str, str], raw: bytes | None
    ) -> Response | Error | None:
        """The response to a request about batches; None if its service has no stand-in here."""
        services = {known.service for known in self._protocols.values()}
        if protocol.service not in services or raw is None or not KEY_HEADERS & headers.keys():
            return None
        try:
            if method == "POST" and path in BATCH_PATHS:
                self._validate(protocol, path, _parse_json(raw))
            return self.batches.respond(method, path, headers, raw)
        except (MisfitError, KeyError, TypeError, ValueError) as misfit:
            with self._lock:
                self.violations.append(Violation(protocol.name, str(misfit), None))
            return Error(400, str(misfit))

    def _play_batched(self, name: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> RequestOutcome:
        """The outcome of one request of a batch; the pace of its answer does not matter."""
        protocol = PROTOCOLS[name]
        request = self._read(protocol, protocol.path, headers, json.dumps(body).encode())
        if isinstance(request, Error):
            return RequestOutcome(*protocol.error(request))
        with self._lock:
            self._count += 1
            request = replace(request, number=self._count)
            self.requests.append(request)
            answer, _ = self._player.play(request)
        if isinstance(answer, Error) and answer.expired:
            return RequestOutcome(0, None)
        response = self._to_response(protocol, request, answer)
        return RequestOutcome(response.status, json.loads(response.body), response.charge)

    def _read(self, protocol: Protocol, path: str, headers: Mapping[str, str], raw: bytes | None) -> Request | Error:
        """The request, with number 0, or the error it is rejected with."""
        if raw is None:
            return Error(413)
        try:
            request = self._parse(protocol, path, headers, raw)
        except MisfitError as misfit:
            return Error(400, str(misfit))
        return request if self._prices.knows(request.model) else Error(404, f"There is no model {request.model}.")

    def _parse(self, protocol: Protocol, path: str, headers: Mapping[str, str], raw: bytes) -> Request:
        """The request; raises MisfitError after recording the violation."""
        body = None
        try:
            body = _parse_body(protocol, headers, raw)
            self._validate(protocol, path, body)
            return _parse_request(protocol, path, headers, body)
        except MisfitError as misfit:
            with self._lock:
                self.violations.append(Violation(protocol.name, str(misfit), body))
            raise

    def _validate(self, protocol: Protocol, path: str, body: Any) -> None:
        if self._descriptions is not None:
            plain = to_plain(body) if protocol.media_type != JSON_TYPE else body
            reason = self._descriptions.find_error(protocol.service, path, plain, protocol.media_type)
            if reason:
                raise MisfitError(reason)

    def _play(self, protocol: Protocol, request: Request) -> Response:
        try:
            with self._lock:
                self._count += 1
                request = replace(request, number=self._count)
                self.requests.append(request)
                answer, pace = self._player.play(request)
            return _apply_pace(self._to_response(protocol, request, answer), pace)
        except Exception as error:  # noqa: BLE001
            # Reported to the client and to the test: Loopback raises it again when it stops.
            self.failures.append(error)
            return to_response(protocol, Error(500, f"The script of this test server raised {error!r}"))

    def _to_response(self, protocol: Protocol, request: Request, answer: Reply | Raw | Error) -> Response:
        identity = {ID_HEADERS[protocol.service]: f"req_loopback_{request.number:06d}"}
        match answer:
            case Error():
                return to_response(protocol, answer, identity)
            case Raw():
                charge = self._charge_recorded(request.model, answer)
                return Response(answer.status, {**identity, **answer.headers}, answer.body, charge)
            case Reply() if (refusal := protocol.refuse(answer)) is not None:
                return to_response(protocol, refusal, identity)
            case _:
                filled = protocol.fill(answer, request)
                charge = self._prices.charge(request.model, filled.input_tokens, filled.output_tokens)
                return Response(200, identity, json.dumps(protocol.reply(filled, request)).encode(), charge)

    def _charge_recorded(self, model: str, raw: Raw) -> Bill:
        """The bill of a body by the usage in it; empty for errors and bodies without usage."""
        try:
            usage = json.loads(raw.body)["usage"] if raw.status < 400 else None
        except (ValueError, KeyError, TypeError):
            usage = None
        if not usage:
            return Bill()
        input_tokens = usage.get("input_tokens", usage.get("prompt_tokens", 0))
        return self._prices.charge(model, input_tokens, usage.get("output_tokens", usage.get("completion_tokens", 0)))


def to_response(protocol: Protocol, error: Error, identity: Mapping[str, str] | None = None) -> Response:
    """The response for an error."""
    status, body = protocol.error(error)
    headers = {**(identity or {}), **error.headers}
    if error.retry_after is not None:
        headers["retry-after"] = f"{error.retry_after:g}"
    return Response(status, headers, json.dumps(body).encode())


def _check_method_and_key(method: str, headers: Mapping[str, str]) -> Error | None:
    if method != "POST":
        return Error(405, f"Method {method} is not allowed here; send a POST.")
    return None if KEY_HEADERS & headers.keys() else Error(401)


def _parse_body(protocol: Protocol, headers: Mapping[str, str], raw: bytes) -> Any:
    if protocol.media_type == JSON_TYPE:
        return _parse_json(raw)
    return read_multipart(headers.get("content-type", ""), raw)


def _parse_json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError as error:
        raise MisfitError(f"The body is not valid JSON: {error}") from None


def _parse_request(protocol: Protocol, path: str, headers: Mapping[str, str], body: Any) -> Request:
    try:
        if body.get("stream"):
            raise MisfitError("stream: this test server does not stream; send the request without it.")
        body["model"]
        content = protocol.read(body)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        if isinstance(error, MisfitError):
            raise
        raise MisfitError(f"The body is not valid for {protocol.path}: {type(error).__name__}: {error}") from None
    return Request(
        number=0,
        protocol=protocol.name,
        path=path,
        headers={name: value for name, value in headers.items() if name not in PRIVATE_HEADERS},
        body=body,
        content=content.content,
        turn=content.turn,
        max_tokens=content.max_tokens,
        schema=content.schema,
        input_tokens=content.tokens(protocol.pixels_per_token),
    )


def _apply_pace(response: Response, pace: Pace) -> Response:
    cut = None
    if pace.cut:
        # A response that is cut never arrives completely, however short its body.
        cut = BEFORE_HEADERS if pace.after is None else min(pace.after, len(response.body) - 1)
    return replace(response, delay_s=pace.delay_s, spread_s=pace.spread_s, pieces=pace.pieces, cut=cut)
