"""OpenAI's Batch API: batches at half the price, answered within a day."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from ...calls import CallError, classify
from ...calls.error_body import read_words
from ...records import JSON, RawReply
from ._claude_batches import LISTED, read_id, read_result
from ._model_reply import DETAIL
from ._sdk import SdkClient

KEPT_S = 7 * 24 * 3600  # after this the service deletes files that we could not delete
ENDED = {"completed", "failed", "expired", "cancelled"}
TEMPORARY = {"token_limit_exceeded", "rate_limit_exceeded", "server_error"}  # error codes of a batch


class OpenAIBatchClient:
    """Carries batches of responses or chat completions; satisfies `BatchClient`.

    Args:
        client: of openai.
        endpoint: "/v1/responses" or "/v1/chat/completions".
        to_body: a request as the endpoint expects it.
        to_reply: a response body as a reply; raises CallError where it is none.
    """

    largest = 128 * 2**20  # of 200 MB

    def __init__(
        self,
        client: SdkClient,
        endpoint: str,
        to_body: Callable[[Mapping[str, JSON]], Mapping[str, JSON]],
        to_reply: Callable[[Mapping[str, JSON]], RawReply],
    ) -> None:
        self._client, self._endpoint, self._to_body, self._to_reply = client, endpoint, to_body, to_reply

    @property
    def _batches(self) -> Any:
        return self._client.sdk.batches.with_streaming_response

    @property
    def _files(self) -> Any:
        return self._client.sdk.files.with_streaming_response

    def post(self, tag: str, requests: Mapping[str, Mapping[str, JSON]]) -> str:
        """As `BatchClient.post`."""
        lines = [
            json.dumps({"custom_id": name, "method": "POST", "url": self._endpoint, "body": self._to_body(request)})
            for name, request in requests.items()
        ]
        file = (f"{tag}.jsonl", "\n".join(lines).encode(), "application/jsonl")
        expires = {"anchor": "created_at", "seconds": KEPT_S}
        file_id = read_id(self._client.request(self._files.create, file=file, purpose="batch", expires_after=expires))
        return read_id(
            self._client.request(
                self._batches.create,
                input_file_id=file_id,
                endpoint=self._endpoint,
                completion_window="24h",
                metadata={"xaiaug": tag},
            )
        )

    def find(self, tag: str, count: int) -> list[str]:  # noqa: ARG002  the tag is enough
        """As `BatchClient.find`."""
        batches: Any = self._client.request(self._batches.list, limit=LISTED).get("data") or []
        return [str(batch["id"]) for batch in batches if (batch.get("metadata") or {}).get("xaiaug") == tag]

    def is_done(self, name: str) -> bool:
        """As `BatchClient.is_done`."""
        return self._client.request(self._batches.retrieve, name).get("status") in ENDED

    def results(self, name: str) -> Iterator[tuple[str, RawReply | CallError]]:
        """As `BatchClient.results`."""
        batch: Any = self._client.request(self._batches.retrieve, name)
        for file in (batch.get("output_file_id"), batch.get("error_file_id")):
            for line in self._client.request_lines(self._files.content, file) if file else ():
                yield str(line.get("custom_id") or "?"), self._read_result(line)
        if batch.get("status") == "failed":
            yield "", _batch_error(batch)

    def forget(self, name: str) -> None:
        """As `BatchClient.forget`: deletes the files; the service keeps the batch itself, without content."""
        batch = self._client.request(self._batches.retrieve, name)
        for kind in ("input_file_id", "output_file_id", "error_file_id"):
            if batch.get(kind):
                with suppress(CallError):
                    self._client.request(self._files.delete, batch[kind])

    def _read_result(self, line: Mapping[str, Any]) -> RawReply | CallError:
        response, error = line.get("response") or {}, line.get("error") or {}
        status, body = response.get("status_code"), response.get("body") or {}
        if status == 200 and not error:
            return read_result(self._to_reply, body)
        detail = read_words(error or body)[:DETAIL] or f"the request failed with status {status}"
        if status in (None, 200):
            return CallError("retry", detail)
        return CallError(classify(status, detail), detail, status=status)


def _batch_error(batch: Mapping[str, Any]) -> CallError:
    """The reason why a batch as a whole failed."""
    first: Any = next(iter((batch.get("errors") or {}).get("data") or []), {})
    detail = read_words(first)[:DETAIL] or "the batch failed"
    kind = "retry" if first.get("code") in TEMPORARY else classify(400, detail)
    return CallError(kind, detail, status=400)
