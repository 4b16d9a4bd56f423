"""The batch APIs of both services: requests sent together, answered later, out of order, at half the price."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from typing import Any

from .bill import Bill
from .http_server import BEFORE_HEADERS, Response
from .protocol import CREATED
from .request import MisfitError
from .script import Error

DATE = "2026-01-01T12:00:00Z"
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
ENDPOINTS = {"/v1/responses": "responses", "/v1/chat/completions": "chat"}
ROUTES = re.compile(
    r"(?P<claude>/v1/messages/batches)(?:/(?P<batch>\w+)(?P<results>/results)?)?"
    r"|(?P<files>/v1/files)(?:/(?P<file>[\w-]+)(?P<content>/content)?)?"
    r"|(?P<openai>/v1/batches)(?:/(?P<named>\w+))?"
)


@dataclass(frozen=True)
class RequestOutcome:
    """The outcome of one request of a batch: body, status and price; status 0 without a body if it expired."""

    status: int
    body: Any
    charge: Bill = field(default_factory=Bill)


@dataclass
class Batch:
    """A batch: its number, the outcomes by name in the order they are reported, and the arguments of its creation."""

    number: int
    outcomes: Mapping[str, RequestOutcome]
    polls: int
    arguments: Mapping[str, Any]
    billed: bool = False

    def count(self, *statuses: int) -> int:
        """The number of requests with one of these statuses."""
        return sum(outcome.status in statuses for outcome in self.outcomes.values())

    def charge(self) -> Bill:
        """Half the price of its replies; free after the first time."""
        if self.billed:
            return Bill()
        self.billed = True
        total = sum((outcome.charge for outcome in self.outcomes.values()), Bill())
        return replace(total, usd=total.usd / 2)


class BatchApi:
    """Stores batches and files, and answers requests about them; threads may share it.

    Args:
        play: the outcome of one request, by name of its protocol, headers and body.
        polls: number of polls before a batch has ended.
        cuts: number of batches that are created without a response: the connection is closed.
    """

    def __init__(
        self, play: Callable[[str, Mapping[str, str], Mapping[str, Any]], RequestOutcome], polls: int, cuts: int
    ) -> None:
        self._play, self._polls, self._cuts = play, polls, cuts
        self._claude: dict[str, Batch] = {}
        self._openai: dict[str, Batch] = {}
        self._files: dict[str, bytes] = {}
        self._lock = threading.RLock()

    @property
    def kept(self) -> int:
        """Number of batches of Anthropic's and files of OpenAI's that were not deleted."""
        with self._lock:
            return len(self._claude) + len(self._files)

    def respond(self, method: str, path: str, headers: Mapping[str, str], raw: bytes) -> Response | Error | None:
        """The response to a request about batches or files; None if it is about neither.

        Raises:
            MisfitError: the service would reject the request.
        """
        route = ROUTES.fullmatch(path)
        if route is None:
            return None
        with self._lock:
            try:
                if route["claude"]:
                    return self._handle_claude(method, route["batch"], bool(route["results"]), headers, raw)
                if route["files"]:
                    return self._handle_file(method, route["file"], bool(route["content"]), raw, headers)
                return self._handle_openai(method, route["named"], headers, raw)
            except KeyError as missing:
                return Error(404, f"There is no {missing}.")

    def _handle_claude(
        self, method: str, name: str | None, results: bool, headers: Mapping[str, str], raw: bytes
    ) -> Response:
        host = headers.get("host", "")
        if method == "POST":
            requests = {one["custom_id"]: ("messages", one["params"]) for one in json.loads(raw)["requests"]}
            return self._create(self._claude, "msgbatch_loopback", requests, {}, headers, _message_batch)
        if name is None:
            newest = reversed(self._claude.items())
            return _json({"data": [_message_batch(key, one, host) for key, one in newest], "has_more": False})
        batch = self._claude[name]
        if method == "DELETE":
            del self._claude[name]
            return _json({"id": name, "type": "message_batch_deleted"})
        if results:
            lines = [{"custom_id": key, "result": _message_result(one)} for key, one in batch.outcomes.items()]
            return replace(_lines(lines), charge=batch.charge())
        batch.polls -= 1
        return _json(_message_batch(name, batch, host))

    def _handle_openai(self, method: str, name: str | None, headers: Mapping[str, str], raw: bytes) -> Response:
        if method == "POST":
            arguments = json.loads(raw)
            endpoint = arguments["endpoint"]
            lines = [json.loads(line) for line in self._files[arguments["input_file_id"]].splitlines()]
            if endpoint not in ENDPOINTS or any(line["url"] != endpoint for line in lines):
                raise MisfitError("endpoint: every line of the file must name the endpoint of the batch")
            requests = {line["custom_id"]: (ENDPOINTS[endpoint], line["body"]) for line in lines}
            return self._create(self._openai, "batch_loopback", requests, arguments, headers, self._to_body)
        if name is None:
            newest = [self._to_body(key, one) for key, one in reversed(self._openai.items())]
            return _json({"object": "list", "data": newest})
        self._openai[name].polls -= 1
        return _json(self._to_body(name, self._openai[name]))

    def _handle_file(
        self, method: str, name: str | None, content: bool, raw: bytes, headers: Mapping[str, str]
    ) -> Response:
        if method == "POST":
            purpose, data = _parse_upload(headers, raw)
            if purpose != "batch":
                raise MisfitError(f"purpose: expected batch, got {purpose}")
            name = f"file-loopback{len(self._files) + 1:06d}"
            self._files[name] = data
            return _json({"id": name, "object": "file", "bytes": len(data), "created_at": CREATED, "purpose": purpose})
        if name is None:
            raise MisfitError("files are not listed here")
        data = self._files[name]
        if method == "DELETE":
            del self._files[name]
            return _json({"id": name, "object": "file", "deleted": True})
        if not content:
            return _json({"id": name, "object": "file", "bytes": len(data), "created_at": CREATED, "purpose": "batch"})
        batch = next((one for one in self._openai.values() if one.arguments.get("output") == name), None)
        return Response(200, {}, data, batch.charge() if batch else Bill())

    def _create(
        self,
        batches: dict[str, Batch],
        prefix: str,
        requests: Mapping[str, tuple[str, Any]],
        arguments: Mapping[str, Any],
        headers: Mapping[str, str],
        to_body: Callable[[str, Batch, str], Mapping[str, Any]],
    ) -> Response:
        if not requests or not all(NAME.fullmatch(name) for name in requests):
            raise MisfitError("custom_id: expected 1 to 64 letters, digits, hyphens and underscores for each request")
        outcomes = {name: self._play(protocol, headers, body) for name, (protocol, body) in requests.items()}
        number = len(self._claude) + len(self._openai) + 1
        # Results are in another order than the requests.
        batch = Batch(number, dict(reversed(outcomes.items())), self._polls, dict(arguments))
        name = f"{prefix}{number:06d}{len(requests)}"
        batches[name] = batch
        self._cuts -= 1
        response = _json(to_body(name, batch, headers.get("host", "")))
        return replace(response, cut=BEFORE_HEADERS) if self._cuts >= 0 else response

    def _to_body(self, name: str, batch: Batch, _: str = "") -> dict[str, Any]:
        ended = batch.polls < 0
        if ended and "output" not in batch.arguments:
            batch.arguments = {**batch.arguments, **self._write_files(batch)}
        arguments = batch.arguments
        return {
            "id": name,
            "object": "batch",
            "endpoint": arguments["endpoint"],
            "errors": None,
            "input_file_id": arguments["input_file_id"],
            "completion_window": "24h",
            "status": ("expired" if batch.count(0) else "completed") if ended else "in_progress",
            "output_file_id": arguments.get("output"),
            "error_file_id": arguments.get("failed"),
            "created_at": CREATED,
            "request_counts": {"total": len(batch.outcomes), "completed": batch.count(200), "failed": 0},
            "metadata": arguments.get("metadata"),
        }

    def _write_files(self, batch: Batch) -> dict[str, str | None]:
        """Writes the files of a batch that ended: its successes, and the rest; returns their names."""
        names: dict[str, str | None] = {}
        for kind, success in (("output", True), ("failed", False)):
            lines = [_to_line(key, one) for key, one in batch.outcomes.items() if (one.status == 200) == success]
            names[kind] = f"file-loopback-{kind}{batch.number:06d}" if lines else None
            if lines:
                self._files[str(names[kind])] = _lines(lines).body
        return names


def _message_batch(name: str, batch: Batch, host: str) -> dict[str, Any]:
    ended = batch.polls < 0
    succeeded, expired = batch.count(200), batch.count(0)
    total = len(batch.outcomes)
    ending = {"succeeded": succeeded, "expired": expired, "errored": total - succeeded - expired}
    counts = {"processing": 0 if ended else total, "canceled": 0, **(ending if ended else dict.fromkeys(ending, 0))}
    return {
        "id": name,
        "type": "message_batch",
        "processing_status": "ended" if ended else "in_progress",
        "request_counts": counts,
        "created_at": DATE,
        "expires_at": DATE,
        "ended_at": DATE if ended else None,
        "archived_at": None,
        "cancel_initiated_at": None,
        "results_url": f"http://{host}/v1/messages/batches/{name}/results" if ended else None,
    }


def _message_result(outcome: RequestOutcome) -> dict[str, Any]:
    if outcome.status == 0:
        return {"type": "expired"}
    if outcome.status == 200:
        return {"type": "succeeded", "message": outcome.body}
    return {"type": "errored", "error": outcome.body}


def _to_line(name: str, outcome: RequestOutcome) -> dict[str, Any]:
    if outcome.status == 0:
        error = {"code": "batch_expired", "message": "This request could not be executed before the window expired."}
        return {"id": f"batch_req_{name}", "custom_id": name, "response": None, "error": error}
    response = {"status_code": outcome.status, "request_id": f"req_{name}", "body": outcome.body}
    return {"id": f"batch_req_{name}", "custom_id": name, "response": response, "error": None}


def _parse_upload(headers: Mapping[str, str], raw: bytes) -> tuple[str, bytes]:
    """Purpose and content of a file in a form."""
    form = message_from_bytes(b"content-type: " + headers.get("content-type", "").encode() + b"\r\n\r\n" + raw)
    parts = {part.get_param("name", header="content-disposition"): part for part in form.walk()}
    if "file" not in parts or "purpose" not in parts:
        raise MisfitError("expected a form with the fields file and purpose")
    return _form_content(parts["purpose"]).decode(), _form_content(parts["file"])


def _form_content(part: Any) -> bytes:
    content: bytes = part.get_payload(decode=True)
    return content


def _json(body: Mapping[str, Any]) -> Response:
    return Response(200, {}, json.dumps(body).encode())


def _lines(rows: list[dict[str, Any]]) -> Response:
    return Response(200, {"content-type": "application/x-jsonl"}, "\n".join(map(json.dumps, rows)).encode())
