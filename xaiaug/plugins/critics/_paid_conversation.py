"""Conversations whose questions are paid calls: their keys, and who takes what the first critic declines."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ...calls import CallError
from ...records import CALL_FAILED, Case, Failure, RawReply, digest
from ._answer_text import shorten
from ._conversation import Question
from ._parsing import CAUSE

Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True)
class KeyedQuestion:
    """A question with the key of its reply."""

    key: str
    question: Question


@dataclass(frozen=True)
class Received:
    """A reply, and whether it came now; else it was recorded before."""

    raw: RawReply
    is_new: bool = True


PaidConversation = Generator[KeyedQuestion, Received | CallError, Made | Failure]


def hand_on(
    items: Sequence[Item], made: list[Made | Failure], ask: Callable[[Sequence[Item]], list[Made | Failure]] | None
) -> list[Made | Failure]:
    """What was made, and of the items that were declined what the second critic makes of them, if there is one."""
    declined = [i for i, one in enumerate(made) if isinstance(one, Failure) and one.kind == "refusal"]
    if declined and ask is not None:
        for i, second in zip(declined, ask([items[i] for i in declined]), strict=True):
            made[i] = second
    return made


def key_prefix(case: Case, number: int, dialogue: str) -> str:
    """The beginning of a call's key: the case, with or without a map, the dialogue, and the number of the question."""
    shown = "map" if case.explanation is not None else "no-map"
    pair = digest([case.label, case.predicted])[:8]
    return f"critique:{case.id}:{pair}:{shown}:{dialogue}:{number}"


def to_failure(error: CallError) -> Failure:
    """A filter's no is a refusal, whether a service tells it by an error or by an answer."""
    if error.kind == "refusal":
        return Failure("refusal", shorten(f"the service declined: {error.message}", CAUSE))
    return Failure(CALL_FAILED, shorten(error.message, CAUSE))
