"""The batch APIs of both services: many requests in one, answered later, out of order, at half the price."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from typing import Any

from .bill import Bill
from .delivery import NOTHING, Delivery
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
class Outcome:
    """What became of one request of a batch: a body with its status and price, or none when it expired."""

    status: int
    body: Any
    charge: Bill = field(default_factory=Bill)


@dataclass
class Batch:
    """A batch: its number, requests by name in the order their results are told, and what its owner said of it."""

    number: int
    outcomes: Mapping[str, Outcome]
    polls: int
    said: Mapping[str, Any]
    billed: bool = False

    def count(self, *statuses: int) -> int:
        """How many requests ended so."""
        return sum(outcome.status in statuses for outcome in self.outcomes.values())

    def charge(self) -> Bill:
        """Half of what its replies cost; once."""
        if self.billed:
            return Bill()
        self.billed = True
        whole = sum((outcome.charge for outcome in self.outcomes.values()), Bill())
        return replace(whole, usd=whole.usd / 2)


class Batching:
    """Keeps batches and files, and answers whoever asks for them. Safe to use from many threads.

    Args:
        play: name of a protocol, headers and body of one request, to its outcome.
        polls: how often a batch is asked for before it has ended.
        cuts: how many batches are made without their owner learning of it: the connection is closed.
    """

    def __init__(
        self, play: Callable[[str, Mapping[str, str], Mapping[str, Any]], Outcome], polls: int, cuts: int
    ) -> None:
        self._play, self._polls, self._cuts = play, polls, cuts
        self._claude: dict[str, Batch] = {}
        self._openai: dict[str, Batch] = {}
        self._files: dict[str, bytes] = {}
        self._lock = threading.RLock()

    @property
    def kept(self) -> int:
        """Results and files that nobody has deleted yet."""
        with self._lock:
            return len(self._claude) + len(self._files)

    def respond(self, method: str, path: str, headers: Mapping[str, str], raw: bytes) -> Delivery | Error | None:
        """The answer to a request about batches or files; None when it is about neither.

        Raises:
            MisfitError: the request is not what the service takes.
        """
        found = ROUTES.fullmatch(path)
        if found is None:
            return None
        with self._lock:
            try:
                if found["claude"]:
                    return self._messages(method, found["batch"], bool(found["results"]), headers, raw)
                if found["files"]:
                    return self._file(method, found["file"], bool(found["content"]), headers, raw)
                return self._batch(method, found["named"], headers, raw)
            except KeyError as missing:
                return Error(404, f"There is no {missing}.")

    def _messages(
        self, method: str, name: str | None, results: bool, headers: Mapping[str, str], raw: bytes
    ) -> Delivery:
        host = headers.get("host", "")
        if method == "POST":
            requests = {one["custom_id"]: ("messages", one["params"]) for one in json.loads(raw)["requests"]}
            return self._made(self._claude, "msgbatch_loopback", requests, {}, headers, _message_batch)
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

    def _batch(self, method: str, name: str | None, headers: Mapping[str, str], raw: bytes) -> Delivery:
        if method == "POST":
            said = json.loads(raw)
            lines = [json.loads(line) for line in self._files[said["input_file_id"]].splitlines()]
            if said["endpoint"] not in ENDPOINTS or any(line["url"] != said["endpoint"] for line in lines):
                raise MisfitError("endpoint: every line of the file must name the endpoint of the batch")
            requests = {line["custom_id"]: (ENDPOINTS[said["endpoint"]], line["body"]) for line in lines}
            return self._made(self._openai, "batch_loopback", requests, said, headers, self._told)
        if name is None:
            return _json(
                {"object": "list", "data": [self._told(key, one) for key, one in reversed(self._openai.items())]}
            )
        self._openai[name].polls -= 1
        return _json(self._told(name, self._openai[name]))

    def _file(self, method: str, name: str | None, content: bool, headers: Mapping[str, str], raw: bytes) -> Delivery:
        if method == "POST":
            purpose, data = _upload(headers, raw)
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
        batch = next((one for one in self._openai.values() if one.said.get("output") == name), None)
        return Delivery(200, {}, data, batch.charge() if batch else Bill())

    def _made(
        self,
        kept: dict[str, Batch],
        prefix: str,
        requests: Mapping[str, tuple[str, Any]],
        said: Mapping[str, Any],
        headers: Mapping[str, str],
        told: Callable[[str, Batch, str], Mapping[str, Any]],
    ) -> Delivery:
        if not requests or not all(NAME.fullmatch(name) for name in requests):
            raise MisfitError("custom_id: expected 1 to 64 letters, digits, hyphens and underscores for each request")
        played = {name: self._play(protocol, headers, body) for name, (protocol, body) in requests.items()}
        number = len(self._claude) + len(self._openai) + 1
        # Results come in any order but that of the requests.
        batch = Batch(number, dict(reversed(played.items())), self._polls, dict(said))
        name = f"{prefix}{number:06d}{len(requests)}"
        kept[name] = batch
        self._cuts -= 1
        made = _json(told(name, batch, headers.get("host", "")))
        return replace(made, cut=NOTHING) if self._cuts >= 0 else made

    def _told(self, name: str, batch: Batch, _: str = "") -> dict[str, Any]:
        ended = batch.polls < 0
        if ended and "output" not in batch.said:
            batch.said = {**batch.said, **self._written(batch)}
        said = batch.said
        return {
            "id": name,
            "object": "batch",
            "endpoint": said["endpoint"],
            "errors": None,
            "input_file_id": said["input_file_id"],
            "completion_window": "24h",
            "status": ("expired" if batch.count(0) else "completed") if ended else "in_progress",
            "output_file_id": said.get("output"),
            "error_file_id": said.get("failed"),
            "created_at": CREATED,
            "request_counts": {"total": len(batch.outcomes), "completed": batch.count(200), "failed": 0},
            "metadata": said.get("metadata"),
        }

    def _written(self, batch: Batch) -> dict[str, str | None]:
        """The files of a batch that ended: what succeeded, and the rest."""
        found: dict[str, str | None] = {}
        for kind, wanted in (("output", True), ("failed", False)):
            lines = [_line(key, one) for key, one in batch.outcomes.items() if (one.status == 200) == wanted]
            found[kind] = f"file-loopback-{kind}{batch.number:06d}" if lines else None
            if lines:
                self._files[str(found[kind])] = _lines(lines).body
        return found


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


def _message_result(outcome: Outcome) -> dict[str, Any]:
    if outcome.status == 0:
        return {"type": "expired"}
    if outcome.status == 200:
        return {"type": "succeeded", "message": outcome.body}
    return {"type": "errored", "error": outcome.body}


def _line(name: str, outcome: Outcome) -> dict[str, Any]:
    if outcome.status == 0:
        error = {"code": "batch_expired", "message": "This request could not be executed before the window expired."}
        return {"id": f"batch_req_{name}", "custom_id": name, "response": None, "error": error}
    response = {"status_code": outcome.status, "request_id": f"req_{name}", "body": outcome.body}
    return {"id": f"batch_req_{name}", "custom_id": name, "response": response, "error": None}


def _upload(headers: Mapping[str, str], raw: bytes) -> tuple[str, bytes]:
    """Purpose and content of a file that is sent as a form."""
    form = message_from_bytes(b"content-type: " + headers.get("content-type", "").encode() + b"\r\n\r\n" + raw)
    parts = {part.get_param("name", header="content-disposition"): part for part in form.walk()}
    if "file" not in parts or "purpose" not in parts:
        raise MisfitError("expected a form with the fields file and purpose")
    return _content(parts["purpose"]).decode(), _content(parts["file"])


def _content(part: Any) -> bytes:
    content: bytes = part.get_payload(decode=True)
    return content


def _json(body: Mapping[str, Any]) -> Delivery:
    return Delivery(200, {}, json.dumps(body).encode())


def _lines(rows: list[dict[str, Any]]) -> Delivery:
    return Delivery(200, {"content-type": "application/x-jsonl"}, "\n".join(map(json.dumps, rows)).encode())
