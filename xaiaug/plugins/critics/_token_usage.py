"""Reads a service's report of the tokens used: what does not add up is counted as what is billed at most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...calls.prices import is_count
from ...records import UNKNOWN_USAGE

TOKEN_NAMES = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
REASONING = (
    "completion_tokens_details.reasoning_tokens",
    "output_tokens_details.reasoning_tokens",
    "reasoning_tokens",
)


def to_usage(
    usage: Any, paths: Sequence[str], *, reasoning: Sequence[str] = REASONING, cached_beside: bool = False
) -> dict[str, int]:
    """A service's report of the tokens used, under our names.

    xAI and Gemini bill reasoning beside the tokens of the completion: the total tells. Without a total, reasoning is
    taken to be beside them.

    Args:
        usage: as reported by the service.
        paths: of each of `TOKEN_NAMES` in it, with dots between nested names.
        reasoning: paths of the tokens of reasoning; none where they are always part of the output.
        cached_beside: whether the service does not count cached tokens as input tokens; we do.

    Returns:
        `UNKNOWN_USAGE` if input or output tokens are not reported, a value is not a count, or there is no input.
    """
    counts = [_look_up(usage, path) for path in paths]
    total = _look_up(usage, "total_tokens")
    thought = [_look_up(usage, path) for path in reasoning]
    stated = (*counts, total, *thought)
    if None in counts[:2] or not all(count is None or is_count(count) for count in stated):
        return dict(UNKNOWN_USAGE)
    sent, answered, read, written = (count or 0 for count in counts)
    if cached_beside or read + written > sent:
        sent += read + written
    if not sent:
        return dict(UNKNOWN_USAGE)
    extra = max((count or 0 for count in thought), default=0)
    answered = max(answered, (total or 0) - sent)
    if extra and (total is None or extra > answered):
        answered += extra
    return dict(zip(TOKEN_NAMES, (sent, answered, read, written), strict=True))


def _look_up(usage: Any, path: str) -> Any:
    for name in path.split("."):
        usage = usage.get(name) if isinstance(usage, Mapping) else None
    return usage
