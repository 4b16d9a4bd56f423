"""Hooks on a network that are removed in any case, even if an interrupt comes while they are added or removed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

Hook = Callable[..., Any]


@contextmanager
def attach_hooks(
    parts: Iterable[nn.Module], after: Hook, before: Hook | None = None, with_kwargs: bool = False
) -> Iterator[None]:
    """Calls `after`, and `before`, with each of the parts inside the block; both must be functions of this block."""
    parts = list(parts)

    def remove() -> None:
        # By the functions, not by handles: an interrupt can come between a hook and the handle to it.
        for part in parts:
            for hooks, with_keywords in (
                (part._forward_hooks, part._forward_hooks_with_kwargs),
                (part._forward_pre_hooks, part._forward_pre_hooks_with_kwargs),
            ):
                for key in [key for key, hook in list(hooks.items()) if hook is after or hook is before]:
                    with_keywords.pop(key, None)
                    hooks.pop(key, None)

    with ensure_undo(remove):
        for part in parts:
            part.register_forward_hook(after, with_kwargs=with_kwargs)
            if before is not None:
                part.register_forward_pre_hook(before)
        yield


@contextmanager
def ensure_undo(undo: Callable[[], None]) -> Iterator[None]:
    """Calls `undo` at the end of the block, and again if an interrupt cut it short: `undo` has to allow that."""
    try:
        yield
    finally:
        try:
            undo()
        except BaseException:
            undo()
            raise
