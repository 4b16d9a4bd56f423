"""Sequences whose items are made when they are asked for: a run of a hundred thousand mistakes holds none of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from ..store import Store

Made = TypeVar("Made")


class Lazy(Sequence[Made], Generic[Made]):
    """So many items, each made anew whenever it is asked for.

    Args:
        length: how many there are.
        make: the item at a position, from 0.
    """

    def __init__(self, length: int, make: Callable[[int], Made]) -> None:
        self._length, self._make = length, make

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        places = range(self._length)[index]
        if isinstance(places, range):
            return Lazy(len(places), lambda i: self._make(places[i]))
        return self._make(places)

    def __iter__(self) -> Iterator[Made]:
        return map(self._make, range(self._length))


class Rows(Lazy[Any]):
    """The rows of finished chunks; one chunk at a time is held.

    Args:
        store: where they are.
        keys: of the chunks, in order.
        size: rows in every chunk but the last.
        length: rows in all.
    """

    def __init__(self, store: Store, keys: Sequence[str], size: int, length: int) -> None:
        super().__init__(length, self._row)
        self._store, self._keys, self._size = store, keys, size
        self._held: tuple[str, list[Any]] = ("", [])

    def _row(self, place: int) -> Any:
        key = self._keys[place // self._size]
        if key != self._held[0]:
            self._held = (key, self._store.ledger.rows(key) or [])
        return self._held[1][place % self._size]
