"""What the service of a remote critic says while it is checked: words about the class that the request calls true."""

from __future__ import annotations

import re
from typing import Any

from ...errors import ConfigError
from ..fake_services.example import WORD, example
from ..fake_services.request import Request
from ..fake_services.script import Reply, Step
from .items import LABELS

_CLASS = "|".join(LABELS)
_TRUE = re.compile(rf"\btrue\b.{{0,60}}?\b({_CLASS})\b", re.IGNORECASE | re.DOTALL)
_ANY = re.compile(rf"\b({_CLASS})\b")


def about_the_class(request: Request) -> Step:
    """An example that satisfies the request's schema, its words a sentence that names the class; else that sentence."""
    sentence = _sentence(request.text)
    if request.schema is None:
        return Reply(sentence)
    try:
        return Reply(json=_worded(example(request.schema), sentence))
    except ConfigError:  # told by the server in its own words
        return Reply()


def _sentence(text: str) -> str:
    found = _TRUE.search(text) or _ANY.search(text)
    return f"a photo of a {found.group(1).lower()}" if found else "a photo"


def _worded(value: Any, sentence: str) -> Any:
    if isinstance(value, dict):
        return {name: _worded(inner, sentence) for name, inner in value.items()}
    if isinstance(value, list):
        return [_worded(inner, sentence) for inner in value]
    return sentence if value == WORD else value
