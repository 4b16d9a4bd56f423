"""Answers of the stand-in service while a remote critic is checked: they name the class that the request calls true."""

from __future__ import annotations

import re
from typing import Any

from ...errors import ConfigError
from ..fake_services.example import WORD, make_example
from ..fake_services.request import Request
from ..fake_services.script import Reply, Step
from .items import LABELS

_CLASS = "|".join(LABELS)
_TRUE = re.compile(rf"\btrue\b.{{0,60}}?\b({_CLASS})\b", re.IGNORECASE | re.DOTALL)
_ANY = re.compile(rf"\b({_CLASS})\b")


def answer_with_class(request: Request) -> Step:
    """A sentence that names the class; if the request has a schema, an example of it with that sentence as its text."""
    sentence = _write_sentence(request.text)
    if request.schema is None:
        return Reply(sentence)
    try:
        return Reply(json=_fill_in(make_example(request.schema), sentence))
    except ConfigError:  # the server reports it
        return Reply()


def _write_sentence(text: str) -> str:
    label = _TRUE.search(text) or _ANY.search(text)
    return f"a photo of a {label.group(1).lower()}" if label else "a photo"


def _fill_in(value: Any, sentence: str) -> Any:
    if isinstance(value, dict):
        return {name: _fill_in(inner, sentence) for name, inner in value.items()}
    if isinstance(value, list):
        return [_fill_in(inner, sentence) for inner in value]
    return sentence if value == WORD else value
