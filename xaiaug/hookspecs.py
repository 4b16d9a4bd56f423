"""The hooks a plugin package implements to be found."""

from __future__ import annotations

from typing import Protocol

import pluggy

from .interfaces import Plugin

PROJECT = "xaiaug"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Register(Protocol):
    """What a hook is handed to register plugins with."""

    def __call__(self, name: str, factory: type[Plugin] | str, *, extra: str | None = None) -> None:
        """Registers a plugin under a name.

        Args:
            name: the name users ask for, in lower case with hyphens.
            factory: the class, or "module:Class", which is imported when the plugin is used.
            extra: name of the extra that installs what it needs.
        """


@hookspec
def register_classifiers(register: Register) -> None:
    """Registers classifiers: call `register(name, factory, extra=None)` once for each."""


@hookspec
def register_explainers(register: Register) -> None:
    """Registers explainers: call `register(name, factory, extra=None)` once for each."""


@hookspec
def register_critics(register: Register) -> None:
    """Registers critics: call `register(name, factory, extra=None)` once for each."""


@hookspec
def register_synthesizers(register: Register) -> None:
    """Registers synthesizers: call `register(name, factory, extra=None)` once for each."""
