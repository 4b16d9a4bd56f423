"""Changes to a network that are taken back whatever happens, even an interrupt while they are made or taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

Hook = Callable[..., Any]


@contextmanager
def undone(undo: Callable[[], None]) -> Iterator[None]:
    """Calls `undo` at the end of the block, and once more where an interrupt cut it short: it has to allow that."""
    try:
        yield
    finally:
        try:
            undo()
        except BaseException:
            undo()
            raise


@contextmanager
def hooked(
    parts: Iterable[nn.Module], after: Hook, before: Hook | None = None, with_kwargs: bool = False
) -> Iterator[None]:
    """Has `after`, and `before`, called with each of the parts inside the block; functions of this block alone."""
    parts = list(parts)

    def remove() -> None:
        # By the functions, not by handles: an interrupt can come between a hook and the handle to it.
        for part in parts:
            for hooks, named in (
                (part._forward_hooks, part._forward_hooks_with_kwargs),
                (part._forward_pre_hooks, part._forward_pre_hooks_with_kwargs),
            ):
                for key in [key for key, hook in list(hooks.items()) if hook is after or hook is before]:
                    named.pop(key, None)
                    hooks.pop(key, None)

    with undone(remove):
        for part in parts:
            part.register_forward_hook(after, with_kwargs=with_kwargs)
            if before is not None:
                part.register_forward_pre_hook(before)
        yield
