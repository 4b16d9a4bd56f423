"""OpenAI's Batch API: half the price, within a day."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from ...calls import CallError, classify
from ...records import JSON, RawReply
from ._claude_batches import LISTED, named
from ._sdk import Wire, told_by

KEPT_S = 7 * 24 * 3600  # seconds the service keeps a file of ours that we did not live to delete
ENDED = {"completed", "failed", "expired", "cancelled"}
PASSING = {"token_limit_exceeded", "rate_limit_exceeded", "server_error"}  # why a whole batch may fail for a while


class OpenAICourier:
    """Carries batches of responses or chat completions; satisfies `Courier`.

    Args:
        wire: a client of openai.
        endpoint: "/v1/responses" or "/v1/chat/completions".
        made: a request as that endpoint takes it.
        reply: a body as a reply.
    """

    largest = 128 * 2**20  # of 200 MB

    def __init__(
        self,
        wire: Wire,
        endpoint: str,
        made: Callable[[Mapping[str, JSON]], Mapping[str, JSON]],
        reply: Callable[[dict[str, JSON]], RawReply],
    ) -> None:
        self._wire, self._endpoint, self._made, self._reply = wire, endpoint, made, reply

    @property
    def _batches(self) -> Any:
        return self._wire.client.batches.with_streaming_response

    @property
    def _files(self) -> Any:
        return self._wire.client.files.with_streaming_response

    def post(self, tag: str, requests: Mapping[str, Mapping[str, JSON]]) -> str:
        """As `Courier.post`."""
        lines = [
            json.dumps({"custom_id": name, "method": "POST", "url": self._endpoint, "body": self._made(request)})
            for name, request in requests.items()
        ]
        file = (f"{tag}.jsonl", "\n".join(lines).encode(), "application/jsonl")
        expires = {"anchor": "created_at", "seconds": KEPT_S}
        given = named(self._wire.ask(self._files.create, file=file, purpose="batch", expires_after=expires))
        return named(
            self._wire.ask(
                self._batches.create,
                input_file_id=given,
                endpoint=self._endpoint,
                completion_window="24h",
                metadata={"xaiaug": tag},
            )
        )

    def find(self, tag: str, count: int) -> list[str]:  # noqa: ARG002  the service keeps our name
        """As `Courier.find`."""
        found = self._wire.ask(self._batches.list, limit=LISTED)
        listed: Any = found.get("data") or []
        return [str(one["id"]) for one in listed if (one.get("metadata") or {}).get("xaiaug") == tag]

    def ended(self, name: str) -> bool:
        """As `Courier.ended`."""
        return self._wire.ask(self._batches.retrieve, name).get("status") in ENDED

    def results(self, name: str) -> Iterator[tuple[str, RawReply | CallError]]:
        """As `Courier.results`."""
        batch: Any = self._wire.ask(self._batches.retrieve, name)
        for file in (batch.get("output_file_id"), batch.get("error_file_id")):
            for line in self._wire.lines(self._files.content, file) if file else ():
                yield str(line.get("custom_id") or "?"), self._result(line)
        if batch.get("status") == "failed":
            yield "", _failed(batch)

    def forget(self, name: str) -> None:
        """As `Courier.forget`: all of its files; the service keeps the batch itself, without content."""
        batch = self._wire.ask(self._batches.retrieve, name)
        for kind in ("input_file_id", "output_file_id", "error_file_id"):
            if batch.get(kind):
                with suppress(CallError):
                    self._wire.ask(self._files.delete, batch[kind])

    def _result(self, line: Mapping[str, Any]) -> RawReply | CallError:
        response, error = line.get("response") or {}, line.get("error") or {}
        status, body = response.get("status_code"), response.get("body") or {}
        if status == 200 and not error:
            return self._reply(body)
        detail = told_by(error or body) or f"the request failed with status {status}"
        if status in (None, 200):
            return CallError("retry", detail)
        return CallError(classify(status, detail), detail, status=status)


def _failed(batch: Mapping[str, Any]) -> CallError:
    """Why nothing of a batch was done."""
    first: Any = next(iter((batch.get("errors") or {}).get("data") or []), {})
    detail = told_by(first) or "the batch failed"
    kind = "retry" if first.get("code") in PASSING else classify(400, detail)
    return CallError(kind, detail, status=400)
