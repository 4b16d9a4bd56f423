"""From a request to an answer: what the services do behind their door."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .anthropic import Messages
from .batch_api import Batching, Outcome
from .bill import Bill, PriceList
from .delivery import NOTHING, Delivery
from .descriptions import Descriptions
from .openai import Chat, Responses
from .protocol import Answer, Protocol
from .request import MisfitError, Request
from .script import Error, Pace, Player, Raw, Reply

PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in (Messages(), Responses(), Chat())}
BATCH_PATHS = {"/v1/messages/batches", "/v1/batches"}
KEY_HEADERS = {"x-api-key", "authorization"}
PRIVATE_HEADERS = {*KEY_HEADERS, "cookie", "proxy-authorization", "openai-organization", "openai-project"}
OWN_ID = {"anthropic": "request-id", "openai": "x-request-id"}


@dataclass(frozen=True)
class Violation:
    """A request that was answered with HTTP 400, since the service would not understand it.

    Attributes:
        protocol: `"messages"`, `"responses"` or `"chat"`.
        reason: What the client was told.
        body: The parsed JSON; None when it was none.
    """

    protocol: str
    reason: str
    body: Any = field(repr=False)


class Service:
    """Answers requests of several protocols by one script. Safe to use from many threads.

    Attributes:
        requests: The requests that reached the script.
        violations: The requests that did not fit.
        failures: What the script raised.
    """

    def __init__(
        self,
        player: Player,
        prices: PriceList,
        descriptions: Descriptions | None,
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
        self.batching = Batching(self._outcome, polls, cuts)
        self.requests: deque[Request] = deque(maxlen=keep)
        self.violations: list[Violation] = []
        self.failures: list[Exception] = []

    def respond(self, method: str, path: str, headers: Mapping[str, str], raw: bytes | None) -> Delivery:
        """The answer to a request; `raw` is None when the body was too large to be kept."""
        plain = path.partition("?")[0]
        protocol = self._protocols.get(plain)
        if protocol is None:
            speaking = PROTOCOLS["messages" if "anthropic-version" in headers else "chat"]
            found = self._batch(speaking, method, plain, headers, raw) or Error(404, f"Nothing is played at {path}.")
            return error_delivery(speaking, found) if isinstance(found, Error) else found
        request = _refused(method, headers) or self._read(protocol, path, headers, raw)
        return error_delivery(protocol, request) if isinstance(request, Error) else self._play(protocol, request)

    def _batch(
        self, speaking: Protocol, method: str, path: str, headers: Mapping[str, str], raw: bytes | None
    ) -> Delivery | Error | None:
        """The answer to a request about batches, of a service that is played here."""
        played = {protocol.service for protocol in self._protocols.values()}
        if speaking.service not in played or raw is None or not KEY_HEADERS & headers.keys():
            return None
        try:
            if method == "POST" and path in BATCH_PATHS:
                self._check(speaking, path, _json(raw))
            return self.batching.respond(method, path, headers, raw)
        except (MisfitError, KeyError, TypeError, ValueError) as misfit:
            with self._lock:
                self.violations.append(Violation(speaking.name, str(misfit), None))
            return Error(400, str(misfit))

    def _outcome(self, name: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> Outcome:
        """What becomes of one request of a batch; how slowly it would have been answered does not matter."""
        protocol = PROTOCOLS[name]
        request = self._read(protocol, protocol.path, headers, json.dumps(body).encode())
        if isinstance(request, Error):
            return Outcome(*protocol.error(request))
        with self._lock:
            self._count += 1
            request = replace(request, number=self._count)
            self.requests.append(request)
            answer, _ = self._player.play(request)
        if isinstance(answer, Error) and answer.expired:
            return Outcome(0, None)
        made = self._delivery(protocol, request, answer)
        return Outcome(made.status, json.loads(made.body), made.charge)

    def _read(self, protocol: Protocol, path: str, headers: Mapping[str, str], raw: bytes | None) -> Request | Error:
        """The request, its number still 0, or why it cannot be served."""
        if raw is None:
            return Error(413)
        try:
            request = self._fitting(protocol, path, headers, raw)
        except MisfitError as misfit:
            return Error(400, str(misfit))
        return request if self._prices.knows(request.model) else Error(404, f"There is no model {request.model}.")

    def _fitting(self, protocol: Protocol, path: str, headers: Mapping[str, str], raw: bytes) -> Request:
        """The request. Raises MisfitError after noting the violation."""
        body = None
        try:
            body = _json(raw)
            self._check(protocol, path, body)
            return _request(protocol, path, headers, body)
        except MisfitError as misfit:
            with self._lock:
                self.violations.append(Violation(protocol.name, str(misfit), body))
            raise

    def _check(self, protocol: Protocol, path: str, body: Any) -> None:
        if self._descriptions is not None:
            reason = self._descriptions.reason(protocol.service, path, body)
            if reason:
                raise MisfitError(reason)

    def _play(self, protocol: Protocol, request: Request) -> Delivery:
        try:
            with self._lock:
                self._count += 1
                request = replace(request, number=self._count)
                self.requests.append(request)
                answer, pace = self._player.play(request)
            return _paced(self._delivery(protocol, request, answer), pace)
        except Exception as error:  # noqa: BLE001
            # The client is told, and so is the test: Loopback raises it again when it stops.
            self.failures.append(error)
            return error_delivery(protocol, Error(500, f"The script of this test server raised {error!r}"))

    def _delivery(self, protocol: Protocol, request: Request, answer: Reply | Raw | Error) -> Delivery:
        identity = {OWN_ID[protocol.service]: f"req_loopback_{request.number:06d}"}
        match answer:
            case Error():
                return error_delivery(protocol, answer, identity)
            case Raw():
                charge = self._recorded_charge(request.model, answer)
                return Delivery(answer.status, {**identity, **answer.headers}, answer.body, charge)
            case _:
                filled = Answer.to(request, answer)
                charge = self._prices.charge(request.model, filled.input_tokens, filled.output_tokens)
                return Delivery(200, identity, json.dumps(protocol.reply(filled, request)).encode(), charge)

    def _recorded_charge(self, model: str, raw: Raw) -> Bill:
        """The bill of a body that tells its usage; nothing for errors and for bodies that tell none."""
        try:
            usage = json.loads(raw.body)["usage"] if raw.status < 400 else None
        except (ValueError, KeyError, TypeError):
            usage = None
        if not usage:
            return Bill()
        of_input = usage.get("input_tokens", usage.get("prompt_tokens", 0))
        return self._prices.charge(model, of_input, usage.get("output_tokens", usage.get("completion_tokens", 0)))


def error_delivery(protocol: Protocol, error: Error, identity: Mapping[str, str] | None = None) -> Delivery:
    """The answer that tells an error."""
    status, body = protocol.error(error)
    headers = {**(identity or {}), **error.headers}
    if error.retry_after is not None:
        headers["retry-after"] = f"{error.retry_after:g}"
    return Delivery(status, headers, json.dumps(body).encode())


def _refused(method: str, headers: Mapping[str, str]) -> Error | None:
    if method != "POST":
        return Error(405, f"Method {method} is not allowed here; send a POST.")
    return None if KEY_HEADERS & headers.keys() else Error(401)


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError as error:
        raise MisfitError(f"The body is not valid JSON: {error}") from None


def _request(protocol: Protocol, path: str, headers: Mapping[str, str], body: Any) -> Request:
    try:
        if body.get("stream"):
            raise MisfitError("stream: this test server does not stream; send the request without it.")
        body["model"]
        said = protocol.read(body)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        if isinstance(error, MisfitError):
            raise
        raise MisfitError(f"The body is not what {protocol.path} takes: {type(error).__name__}: {error}") from None
    shown = {name: value for name, value in headers.items() if name not in PRIVATE_HEADERS}
    tokens = said.tokens(protocol.pixels_per_token)
    return Request(0, protocol.name, path, shown, body, said.content, said.turn, said.max_tokens, said.schema, tokens)


def _paced(delivery: Delivery, pace: Pace) -> Delivery:
    cut = None
    if pace.cut:
        # Whatever is cut never arrives whole, however short the body.
        cut = NOTHING if pace.after is None else min(pace.after, len(delivery.body) - 1)
    return replace(delivery, before=pace.before, over=pace.over, pieces=pace.pieces, cut=cut)
