"""Content keys and seeds: equal inputs give equal keys on every machine."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def digest(value: Any) -> str:
    """A key for a plain JSON value: the first 32 hex digits of the SHA-256 of its canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def derive_seed(*parts: Any) -> int:
    """A seed, 0 to 2**32 - 1, derived from plain JSON values."""
    return int(digest(list(parts))[:8], 16)


def _plain(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"a key needs plain JSON values, got {type(value).__name__}: {value!r}")
