"""A key that no traceback, log or list of local variables shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

MASK = "[key]"


class Secret:
    """A key: printed, formatted and inspected it is "[key]", and it cannot be pickled; only `reveal` gives it.

    Args:
        text: the key; may be empty.
    """

    __slots__ = ("_reveal",)

    def __init__(self, text: str) -> None:
        self._reveal: Callable[[], str] = lambda: text

    def reveal(self) -> str:
        """The key itself, to be sent and not to be kept in a variable."""
        return self._reveal()

    def __bool__(self) -> bool:
        """Whether there is a key."""
        return bool(self._reveal())

    def __repr__(self) -> str:
        """The mask."""
        return MASK

    def __format__(self, form: str) -> str:
        """The mask."""
        return format(MASK, form)

    def __reduce__(self) -> NoReturn:
        """Raises TypeError: a pickle would hold the key."""
        raise TypeError("a key cannot be pickled; read it from the environment where it is used")

    def __eq__(self, other: object) -> bool:
        """Whether both are the same key."""
        return isinstance(other, Secret) and other.reveal() == self.reveal()

    def __hash__(self) -> int:
        """The same for all keys: nothing that tells them apart."""
        return hash(MASK)
