"""The critic that takes what the first one declines."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from ...errors import ConfigError, nearest
from ...interfaces import Critic

KNOWN = {
    "claude": "claude:ClaudeCritic",
    "openai": "openai:OpenAICritic",
    "local-vlm": "local_vlm:LocalVLMCritic",
    "measured": "measured:MeasuredCritic",
}


def second_critic(table: Mapping[str, Any]) -> Critic:
    """The critic a table names, with its parameters; not yet prepared.

    Raises:
        ConfigError: the table names no critic that can be second, or a parameter it does not have.
    """
    parameters = dict(table)
    name = parameters.pop("name", None)
    if name not in KNOWN:
        raise ConfigError(f"second: there is no critic {name!r} for this. {nearest(str(name), KNOWN)}")
    module, _, attribute = KNOWN[name].partition(":")
    kind: type[Critic] = getattr(import_module(f".{module}", __package__), attribute)
    for given in parameters:
        if given not in kind.parameter_names() or given == "second":
            raise ConfigError(f"second: {name!r} has no parameter {given!r}. {nearest(given, kind.parameter_names())}")
    return kind(**parameters)
