"""The full signature of a plugin that passes `**options` on to its parent."""

from __future__ import annotations

import inspect
from typing import Any


def expand_options(cls: type) -> None:
    """Replaces `**options` of a class's own `__init__` by the parameters of the `__init__` that it overrides.

    The signature of a plugin is its settings table, so it must name every parameter.
    """
    init = vars(cls).get("__init__")
    if init is None:
        return
    parameters = [one for one in inspect.signature(init).parameters.values() if one.name != "self"]
    named = [one for one in parameters if one.kind is not one.VAR_KEYWORD]
    if len(named) < len(parameters):
        parent: Any = next(kind for kind in cls.__mro__[1:] if "__init__" in vars(kind))
        known = {one.name for one in named}
        named += [one for one in inspect.signature(parent).parameters.values() if one.name not in known]
    cls.__signature__ = inspect.Signature(sorted(named, key=lambda one: one.kind))  # type: ignore[attr-defined]
