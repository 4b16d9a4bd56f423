"""Engines: how chunks of work are spread over processes and machines."""

from ..errors import ConfigError, suggest
from .local import LocalEngine

ENGINES = {"local": LocalEngine}


def make_engine(name: str) -> LocalEngine:
    """The engine of that name.

    Raises:
        ConfigError: there is no such engine.
    """
    if name not in ENGINES:
        raise ConfigError(f"there is no engine {name!r}. {suggest(name, ENGINES)}")
    return ENGINES[name]()


__all__ = ["ENGINES", "LocalEngine", "make_engine"]
