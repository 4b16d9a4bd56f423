"""Bodies of servers that stream an answer although it was not asked for, or mark time before it, as one object."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

TEXTS = ("content", "reasoning_content", "reasoning", "refusal")  # of a message, sent in pieces


def join_events(text: str) -> dict[str, Any] | None:
    """The object that a stream of events adds up to; None if the text is none.

    Of the chunks of a chat the texts are joined, and the last word for the end, and the last usage, count; of a stream
    of Responses the last state; an error counts before all of it. Comments, which keep a connection alive, are skipped.
    """
    events = list(_read_events(text))
    error = next((event for event in events if event.get("error")), None)
    if error is not None or len(events) == 1:
        return dict(error or events[0])
    states = [event["response"] for event in events if isinstance(event.get("response"), Mapping)]
    if states:
        return dict(states[-1])
    chunks = [event for event in events if isinstance(event.get("choices"), list)]
    deltas = [choice for chunk in chunks for choice in chunk["choices"][:1] if "delta" in choice]
    return _join_chunks(chunks, deltas) if deltas else None


def _read_events(text: str) -> Iterator[Mapping[str, Any]]:
    """The objects in the lines of a text; nothing if a line is neither an object, a comment nor a mark of a stream."""
    events = []
    for line in text.split("\n"):
        bare = line.strip().removeprefix("data:").strip()
        if not bare or bare.startswith((":", "event:", "id:", "retry:")) or bare == "[DONE]":
            continue
        try:
            value = json.loads(bare)
        except (ValueError, RecursionError):
            return
        if not isinstance(value, Mapping):
            return
        events.append(value)
    yield from events


def _join_chunks(chunks: Sequence[Mapping[str, Any]], choices: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant"}
    reason = None
    for choice in choices:
        delta = choice["delta"] or {}
        for name in TEXTS:
            if isinstance(delta.get(name), str):
                message[name] = message.get(name, "") + delta[name]
        reason = choice.get("finish_reason") or reason
    usage = next((chunk["usage"] for chunk in reversed(chunks) if chunk.get("usage")), None)
    return {**chunks[-1], "choices": [{"finish_reason": reason, "message": message}], "usage": usage}
