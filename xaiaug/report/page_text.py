"""Text on the page: shortened, and without characters that would turn its direction or are not allowed in HTML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MOST_NAME = 80  # characters of a class; all of them are in report.json

# Control characters except tab and newline, and the marks that change the direction of text.
_UNSEEN = dict.fromkeys((*range(9), *range(11, 32), *range(127, 160)), "\N{REPLACEMENT CHARACTER}")
_UNSEEN |= dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "")
# In a script element the parser looks for "</script" and "<!--" alone; JSON may write any character as its code.
_IN_SCRIPT = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def strip_invisible(value: Any) -> Any:
    """Text without characters that change its direction or are not allowed in HTML; other values as they are."""
    return value.translate(_UNSEEN) if type(value) is str else value


def cut_text(text: str, most: int = 1200) -> str:
    """At most so many characters of a text, and how many there are more."""
    return (
        text if len(text) <= most else f"{text[:most].rstrip()} … ({len(text) - most:,} more characters in report.json)"
    )


def shorten_name(name: str) -> str:
    """The name of a class, cut after 80 characters."""
    return name if len(name) <= MOST_NAME else f"{name[:MOST_NAME].rstrip()}… ({len(name):,} characters)"


def to_script_json(value: Any) -> str:
    """Plain JSON for a `<script type="application/json">`, which no text can end."""
    return json.dumps(_strip_all(value), ensure_ascii=False, separators=(",", ":")).translate(_IN_SCRIPT)


def to_pretty_json(value: Any) -> str:
    """JSON for people."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def _strip_all(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _strip_all(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_strip_all(entry) for entry in value]
    return strip_invisible(value)
