"""Reads a service's report of the tokens used: what does not add up is counted as what is billed at most."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_CEILING, Decimal
from typing import Any

from ...calls.budget import MOST_A_CALL
from ...calls.prices import is_count
from ...records import PICO, UNKNOWN_USAGE, RawReply

TOKEN_NAMES = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
REASONING = (
    "completion_tokens_details.reasoning_tokens",
    "output_tokens_details.reasoning_tokens",
    "reasoning_tokens",
)
# Of the input, and so counted already.
_PARTS_OF_INPUT = {"cached_tokens", "prompt_cache_hit_tokens", "prompt_cache_miss_tokens"}


def to_usage(
    usage: Any, paths: Sequence[str], *, reasoning: Sequence[str] = REASONING, cached_beside: bool = False
) -> dict[str, int]:
    """A service's report of the tokens used, under our names.

    xAI and Gemini bill reasoning beside the tokens of the completion: the total tells. Without a total, reasoning is
    taken to be beside them, and so are tokens of a kind that is not known.

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
    others = [] if total is not None else _find_other_counts(usage, {*paths, *reasoning})
    stated = (*counts, total, *thought, *others)
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
    answered += sum(others)
    return dict(zip(TOKEN_NAMES, (sent, answered, read, written), strict=True))


def _find_other_counts(usage: Any, known: set[str]) -> list[Any]:
    """Counts of tokens under names that are not known, such as "thoughts_token_count"."""
    counts = usage.items() if isinstance(usage, Mapping) else ()
    others = [(name, value) for name, value in counts if str(name).endswith(("_tokens", "token_count"))]
    return [value for name, value in others if name not in known | _PARTS_OF_INPUT and _is_number(value)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def bill_as_stated(reply: RawReply) -> RawReply:
    """The reply of a service that states what it bills, in dollars: `usage.cost`, as OpenRouter does.

    Under a key of the user's own (`is_byok`) the provider behind it bills `cost_details.upstream_inference_cost`
    besides. A cost of 0, or none, tells nothing: the tokens do. What is no amount of money is no usage either, and so
    counts as the worst case.
    """
    usage = reply.body.get("usage")
    cost = _look_up(usage, "cost")
    upstream = None if _look_up(usage, "is_byok") is False else _look_up(usage, "cost_details.upstream_inference_cost")
    amounts = [cost, *([] if upstream is None else [upstream])]
    if cost is None or all(map(_is_zero, amounts)):
        return reply
    if not all(map(_is_amount, amounts)):
        return replace(reply, usage=UNKNOWN_USAGE)
    pico = sum(Decimal(str(amount)) for amount in amounts) * PICO
    return replace(reply, stated=int(Decimal(pico).to_integral_value(ROUND_CEILING)))


def _is_zero(value: Any) -> bool:
    return _is_number(value) and value == 0


def _is_amount(value: Any) -> bool:
    """Whether a value may be the dollars of one call."""
    return _is_number(value) and math.isfinite(value) and 0 <= value <= MOST_A_CALL


def _look_up(usage: Any, path: str) -> Any:
    for name in path.split("."):
        usage = usage.get(name) if isinstance(usage, Mapping) else None
    return usage
