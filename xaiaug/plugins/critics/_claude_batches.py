"""Anthropic's Message Batches API: batches at half the price, answered within a day."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ...calls import CallError, classify
from ...calls.error_body import read_status, read_words
from ...records import JSON, RawReply
from ._model_reply import DETAIL
from ._sdk import SdkClient

LISTED = 100  # newest batches that are searched for one whose name never arrived


class ClaudeBatchClient:
    """Carries batches of messages; satisfies `BatchClient`.

    Args:
        client: of anthropic.
        to_reply: a message as a reply; raises CallError where it is none.
    """

    largest = 128 * 2**20  # of 256 MB

    def __init__(self, client: SdkClient, to_reply: Callable[[Mapping[str, JSON]], RawReply]) -> None:
        self._client, self._to_reply = client, to_reply

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
            return read_result(self._to_reply, result.get("message") or {})
        if state != "errored":
            return CallError("retry", f"the batch ended before this request was answered ({state})")
        error = (result.get("error") or {}).get("error") or {}
        status, detail = read_status(error), read_words(error)[:DETAIL]
        return CallError(classify(status, detail), detail or "the request failed", status=status, billed=False)


def read_result(to_reply: Callable[[Mapping[str, JSON]], RawReply], body: Mapping[str, JSON]) -> RawReply | CallError:
    """The reply in a result of a batch, or the error that stands in its place."""
    try:
        return to_reply(body)
    except CallError as error:
        return error


def read_id(body: Mapping[str, JSON]) -> str:
    """The service's id of a new batch or file.

    Raises:
        CallError: the response has no id; the batch may have been created all the same.
    """
    name = body.get("id")
    if not isinstance(name, str) or not name:
        raise CallError("retry", "the service returned no id for the batch")
    return name
