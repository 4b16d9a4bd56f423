"""Drives several talks at once: all their open questions are asked together."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

Asked = TypeVar("Asked")
Heard = TypeVar("Heard")
Made = TypeVar("Made")


def together(
    talks: Sequence[Generator[Asked, Heard, Made]], ask: Callable[[list[Asked]], Sequence[Heard]]
) -> list[Made]:
    """What each talk ends in, in order.

    Args:
        talks: not begun.
        ask: answers questions, in order; called until no talk has one left.
    """
    made: dict[int, Made] = {}
    heard: dict[int, Heard | None] = dict.fromkeys(range(len(talks)))
    while heard:
        asked: dict[int, Asked] = {}
        for place, said in heard.items():
            try:
                asked[place] = next(talks[place]) if said is None else talks[place].send(said)
            except StopIteration as done:
                made[place] = done.value
        heard = dict(zip(asked, ask(list(asked.values())), strict=True)) if asked else {}
    return [made[place] for place in range(len(talks))]
