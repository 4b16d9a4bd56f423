"""Makes a built-in critic from its settings table, for a critic that works through another one."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from ...errors import ConfigError, suggest
from ...interfaces import Critic

KNOWN = {
    "claude": "claude:ClaudeCritic",
    "openai": "openai:OpenAICritic",
    "gemini": "providers:GeminiCritic",
    "openrouter": "providers:OpenRouterCritic",
    "azure": "providers:AzureCritic",
    "ollama": "providers:OllamaCritic",
    "vllm": "providers:VLLMCritic",
    "lmstudio": "providers:LMStudioCritic",
    "local-vlm": "local_vlm:LocalVLMCritic",
    "measured": "measured:MeasuredCritic",
}


def make_critic(table: Mapping[str, Any]) -> Critic:
    """The critic of a settings table, not prepared.

    Raises:
        ConfigError: no built-in critic has that name, or it has no such parameter.
    """
    parameters = dict(table)
    name = parameters.pop("name", None)
    if name not in KNOWN:
        raise ConfigError(f"second: there is no critic {name!r} for this. {suggest(str(name), KNOWN)}")
    module, _, attribute = KNOWN[name].partition(":")
    critic: type[Critic] = getattr(import_module(f".{module}", __package__), attribute)
    known = critic.parameter_names()
    for parameter in parameters:
        if parameter not in known:
            raise ConfigError(f"second: {name!r} has no parameter {parameter!r}. {suggest(parameter, known)}")
    return critic(**parameters)


def make_second_critic(table: Mapping[str, Any]) -> Critic:
    """The critic that takes the cases another one declines; it has no second critic itself."""
    if "second" in table:
        raise ConfigError("second: a second critic has no second of its own")
    return make_critic(table)
