"""Anthropic's Message Batches API: batches at half the price, answered within a day."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ...calls import CallError
from ...records import JSON, RawReply
from ._sdk import SdkClient, error_detail

LISTED = 100  # newest batches that are searched for one whose name never arrived
# Kinds of a request's error by the service's type for it; all others are temporary.
_KINDS = {
    "invalid_request_error": "item",
    "request_too_large": "item",
    "authentication_error": "fatal",
    "billing_error": "fatal",
    "permission_error": "fatal",
    "not_found_error": "fatal",
}
_STATUS = {"authentication_error": 401, "billing_error": 402, "permission_error": 403, "not_found_error": 404}


class ClaudeBatchClient:
    """Carries batches of messages; satisfies `BatchClient`.

    Args:
        client: of anthropic.
        read_usage: the tokens that are billed, from the usage of a message.
    """

    largest = 128 * 2**20  # of 256 MB

    def __init__(self, client: SdkClient, read_usage: Callable[[Any], dict[str, int]]) -> None:
        self._client, self._read_usage = client, read_usage

    @property
    def _batches(self) -> Any:
        return self._client.sdk.messages.batches.with_streaming_response

    def post(self, tag: str, requests: Mapping[str, Mapping[str, JSON]]) -> str:  # noqa: ARG002  the requests' names contain it
        """As `BatchClient.post`."""
        entries = [{"custom_id": name, "params": dict(request)} for name, request in requests.items()]
        return read_id(self._client.request(self._batches.create, requests=entries))

    def find(self, tag: str, count: int) -> list[str]:  # noqa: ARG002  the service does not keep it
        """As `BatchClient.find`: batches with as many requests; the names of their results tell which is ours."""
        batches: Any = self._client.request(self._batches.list, limit=LISTED).get("data") or []
        return [str(batch["id"]) for batch in batches if sum((batch.get("request_counts") or {}).values()) == count]

    def is_done(self, name: str) -> bool:
        """As `BatchClient.is_done`."""
        return self._client.request(self._batches.retrieve, name).get("processing_status") == "ended"

    def results(self, name: str) -> Iterator[tuple[str, RawReply | CallError]]:
        """As `BatchClient.results`."""
        for line in self._client.request_lines(self._batches.results, name):
            result: Any = line.get("result") or {}
            yield str(line.get("custom_id") or "?"), self._read_result(result)

    def forget(self, name: str) -> None:
        """As `BatchClient.forget`."""
        self._client.request(self._batches.delete, name)

    def _read_result(self, result: Mapping[str, Any]) -> RawReply | CallError:
        state = result.get("type")
        if state == "succeeded":
            body = result.get("message") or {}
            return RawReply(body, self._read_usage(body.get("usage") or {}))
        if state != "errored":
            return CallError("retry", f"the batch ended before this request was answered ({state})")
        error = (result.get("error") or {}).get("error") or {}
        error_type = str(error.get("type"))
        kind = _KINDS.get(error_type, "retry")
        return CallError(kind, error_detail(error) or "the request failed", status=_STATUS.get(error_type))  # type: ignore[arg-type]


def read_id(body: Mapping[str, JSON]) -> str:
    """The service's id of a new batch or file.

    Raises:
        CallError: the response has no id; the batch may have been created all the same.
    """
    name = body.get("id")
    if not isinstance(name, str) or not name:
        raise CallError("retry", "the service returned no id for the batch")
    return name
