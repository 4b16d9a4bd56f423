"""Drives several talks at once: all their open questions are asked together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ._question import Made, Question, Said, Talk

Ask = Callable[[list[Question]], list[Said]]


def together(talks: Sequence[Talk[Made]], ask: Ask) -> list[Made]:
    """What each talk ends in, in order.

    Args:
        talks: not begun.
        ask: answers questions, in order; called until no talk has one left.
    """
    made: dict[int, Made] = {}
    heard: dict[int, Said | None] = dict.fromkeys(range(len(talks)))
    while heard:
        asked: dict[int, Question] = {}
        for place, said in heard.items():
            try:
                asked[place] = next(talks[place]) if said is None else talks[place].send(said)
            except StopIteration as done:
                made[place] = done.value
        heard = dict(zip(asked, ask(list(asked.values())), strict=True)) if asked else {}
    return [made[place] for place in range(len(talks))]
