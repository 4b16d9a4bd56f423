"""The hooks that a plugin package implements to register its plugins."""

from __future__ import annotations

from typing import Protocol

import pluggy

from .interfaces import Plugin

PROJECT = "xaiaug"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Register(Protocol):
    """The function passed to a hook to register plugins with."""

    def __call__(self, name: str, factory: type[Plugin] | str, *, extra: str | None = None) -> None:
        """Registers a plugin under a name.

        Args:
            name: the name users select it by, in lower case with hyphens.
            factory: the class, or "module:Class" to import it when the plugin is used.
            extra: name of the extra that installs its requirements.
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
