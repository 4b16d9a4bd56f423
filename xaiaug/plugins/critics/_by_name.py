"""Our critics by name, for a critic that works through another one."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from ...errors import ConfigError, suggest
from ...interfaces import Critic

KNOWN = {
    "claude": "claude:ClaudeCritic",
    "openai": "openai:OpenAICritic",
    "local-vlm": "local_vlm:LocalVLMCritic",
    "measured": "measured:MeasuredCritic",
}


def critic_from(table: Mapping[str, Any]) -> Critic:
    """The critic a table names, with its parameters; not yet prepared.

    Raises:
        ConfigError: the table names no critic of ours, or a parameter it does not have.
    """
    parameters = dict(table)
    name = parameters.pop("name", None)
    if name not in KNOWN:
        raise ConfigError(f"second: there is no critic {name!r} for this. {suggest(str(name), KNOWN)}")
    module, _, attribute = KNOWN[name].partition(":")
    kind: type[Critic] = getattr(import_module(f".{module}", __package__), attribute)
    for given in parameters:
        if given not in kind.parameter_names():
            raise ConfigError(f"second: {name!r} has no parameter {given!r}. {suggest(given, kind.parameter_names())}")
    return kind(**parameters)


def second_critic(table: Mapping[str, Any]) -> Critic:
    """The critic that takes what another declines; it has no second of its own."""
    if "second" in table:
        raise ConfigError("second: a second critic has no second of its own")
    return critic_from(table)
