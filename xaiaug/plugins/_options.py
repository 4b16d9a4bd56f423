"""Spells out the `**options` that a plugin passes on to its parent, in its signature and its type hints."""

from __future__ import annotations

import inspect
from typing import Any, get_type_hints


def expand_options(cls: type) -> None:
    """Replaces `**options` of a class's own `__init__` by the parameters of its parent's.

    A plugin's signature is its settings table: the parameters must be named, and their types known.
    """
    init = vars(cls).get("__init__")
    if init is None:
        return
    parameters = [one for one in inspect.signature(init).parameters.values() if one.name != "self"]
    named = [one for one in parameters if one.kind is not one.VAR_KEYWORD]
    if len(named) < len(parameters):
        parent: Any = cls.__mro__[1]
        known = {one.name for one in named}
        named += [one for one in inspect.signature(parent).parameters.values() if one.name not in known]
        init.__annotations__ = {**get_type_hints(parent.__init__), **init.__annotations__}
    cls.__signature__ = inspect.Signature(sorted(named, key=lambda one: one.kind))  # type: ignore[attr-defined]
