"""Anthropic's Message Batches API: half the price, within a day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...calls import CallError
from ...records import JSON, RawReply
from ._sdk import Wire, told_by

LISTED = 100  # batches that are looked through for one whose name was never told
# What an error of one request means, by the type the service gives it; all others may pass.
_KINDS = {
    "invalid_request_error": "item",
    "request_too_large": "item",
    "authentication_error": "fatal",
    "billing_error": "fatal",
    "permission_error": "fatal",
    "not_found_error": "fatal",
}
_STATUS = {"authentication_error": 401, "billing_error": 402, "permission_error": 403, "not_found_error": 404}


class ClaudeCourier:
    """Carries batches of messages; satisfies `Courier`.

    Args:
        wire: a client of anthropic.
        used: what a message says is billed.
    """

    largest = 128 * 2**20  # of 256 MB

    def __init__(self, wire: Wire, used: Any) -> None:
        self._wire, self._used = wire, used

    @property
    def _batches(self) -> Any:
        return self._wire.client.messages.batches.with_streaming_response

    def post(self, tag: str, requests: Mapping[str, Mapping[str, JSON]]) -> str:  # noqa: ARG002  each name bears it
        """As `Courier.post`."""
        asked = [{"custom_id": name, "params": dict(request)} for name, request in requests.items()]
        return named(self._wire.ask(self._batches.create, requests=asked))

    def find(self, tag: str, count: int) -> list[str]:  # noqa: ARG002  the service keeps no name of ours
        """As `Courier.find`: those with as many requests; their results bear our names."""
        found = self._wire.ask(self._batches.list, limit=LISTED)
        listed: Any = found.get("data") or []
        return [str(one["id"]) for one in listed if sum((one.get("request_counts") or {}).values()) == count]

    def ended(self, name: str) -> bool:
        """As `Courier.ended`."""
        return self._wire.ask(self._batches.retrieve, name).get("processing_status") == "ended"

    def results(self, name: str) -> Iterator[tuple[str, RawReply | CallError]]:
        """As `Courier.results`."""
        for line in self._wire.lines(self._batches.results, name):
            result: Any = line.get("result") or {}
            yield str(line.get("custom_id") or "?"), self._result(result)

    def forget(self, name: str) -> None:
        """As `Courier.forget`."""
        self._wire.ask(self._batches.delete, name)

    def _result(self, result: Mapping[str, Any]) -> RawReply | CallError:
        state = result.get("type")
        if state == "succeeded":
            body = result.get("message") or {}
            return RawReply(body, self._used(body.get("usage") or {}))
        if state != "errored":
            return CallError("retry", f"the batch ended before this request was answered ({state})")
        error = (result.get("error") or {}).get("error") or {}
        kind = _KINDS.get(str(error.get("type")), "retry")
        return CallError(kind, told_by(error) or "the request failed", status=_STATUS.get(str(error.get("type"))))  # type: ignore[arg-type]


def named(body: Mapping[str, JSON]) -> str:
    """The service's name for what it made.

    Raises:
        CallError: it tells none; it may have made it all the same.
    """
    name = body.get("id")
    if not isinstance(name, str) or not name:
        raise CallError("retry", "the service tells no id of the batch")
    return name
