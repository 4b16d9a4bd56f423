"""What a service says it billed, as the ledger counts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

NAMES = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
UNTOLD = {"untold": 1}  # a unit that has no price: the worst case counts


def billed(usage: Any, paths: Sequence[str]) -> dict[str, int]:
    """Tokens by our names.

    Args:
        usage: as the service told it.
        paths: where each of `NAMES` stands in it, with a dot before each inner name.

    Returns:
        `UNTOLD` where it does not tell the tokens of input and output, or tells what is no count.
    """
    found = [_at(usage, path) for path in paths]
    if None in found[:2] or not all(value is None or (isinstance(value, int) and value >= 0) for value in found):
        return dict(UNTOLD)
    return {name: value or 0 for name, value in zip(NAMES, found, strict=True)}


def _at(usage: Any, path: str) -> Any:
    for name in path.split("."):
        usage = usage.get(name) if isinstance(usage, Mapping) else None
    return usage
