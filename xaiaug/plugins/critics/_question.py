"""What a critic asks of a model, and what the model said, whichever service stands behind it."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from ...records import JSON
from ._picture import Picture

Made = TypeVar("Made")
# Who drives one sends what the model said to each question; several can so be asked at once.
Talk = Generator["Question", "Said", Made]


@dataclass(frozen=True)
class Turn:
    """One message of a dialogue.

    Attributes:
        role: who says it.
        text: what is said.
        picture: stands before the text.
    """

    role: Literal["user", "assistant"]
    text: str
    picture: Picture | None = None


@dataclass(frozen=True)
class Question:
    """A dialogue whose next message is the model's.

    Attributes:
        system: what holds for the whole dialogue.
        turns: the messages so far; the last one is the user's.
        max_tokens: most the model may answer.
        schema: JSON schema the answer must satisfy; None where it is plain text.
    """

    system: str
    turns: tuple[Turn, ...]
    max_tokens: int
    schema: Mapping[str, Any] | None = None

    def to_json(self) -> JSON:
        """JSON-plain and equal for equal questions; a picture is its digest."""
        turns: list[JSON] = [
            [turn.role, turn.text, None if turn.picture is None else turn.picture.digest] for turn in self.turns
        ]
        schema = None if self.schema is None else dict(self.schema)
        return {"system": self.system, "turns": turns, "max_tokens": self.max_tokens, "schema": schema}


@dataclass(frozen=True)
class Said:
    """A model's answer.

    Attributes:
        text: all of its text, without its thinking; of a refusal, why.
        stop: "end", "length" (the limit of tokens cut it) or "refusal".
        category: of a refusal, where the service tells one.
    """

    text: str
    stop: Literal["end", "length", "refusal"] = "end"
    category: str = ""
