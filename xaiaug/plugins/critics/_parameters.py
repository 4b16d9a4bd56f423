"""The parameters that critics which talk to a model share: checked, keyed, and made into a dialogue."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Protocol

from ...errors import ConfigError
from ...interfaces import Context
from ...panel import LAYOUTS
from ...records import JSON
from ._prompt import PromptCheck
from ._schema import SCHEMA
from ._talks import DIALOGUES, Dialogue
from ._templates import templates


class Talking(Protocol):
    """A critic that talks to a model."""

    dialogue: str
    layout: str
    side: int
    domain: str
    templates: Mapping[str, str] | None
    max_tokens: int


def check_dialogue(critic: Talking) -> None:
    """Raises ConfigError when one of them cannot be used."""
    who = type(critic).__name__
    for name, known in (("dialogue", DIALOGUES), ("layout", tuple(LAYOUTS))):
        if getattr(critic, name) not in known:
            raise ConfigError(f"{who}: {name} must be one of {', '.join(known)}, got {getattr(critic, name)!r}")
    for name, least in (("side", 200), ("max_tokens", 100)):
        if not getattr(critic, name) >= least:
            raise ConfigError(f"{who}: {name} must be at least {least}, got {getattr(critic, name)}")
    templates(critic.templates)


def made_dialogue(critic: Talking, context: Context) -> Dialogue:
    """How it talks in a run."""
    check = PromptCheck(context.labels, context.count_tokens, context.token_limit)
    texts = templates(critic.templates)
    return Dialogue(critic.dialogue, texts, check, critic.domain, critic.layout, critic.side, critic.max_tokens)


def words(given: Mapping[str, str] | None) -> str:
    """Equal for equal templates and schema: what a result depends on besides the class and its parameters."""
    texts: dict[str, JSON] = dict(templates(given))
    return digest([texts, SCHEMA])[:16]


def digest(value: JSON) -> str:
    """Equal for equal JSON-plain values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
