"""The schema of `exam.json`, version 1: what an exam of a critic came to."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .schema_base import Number, Plain, Row, Text


class ShareRow(Row):
    """A share of cases, 0 to 1, with its 95 % Wilson interval."""

    hits: int
    of: int
    low: float
    high: float

    @property
    def text(self) -> str:
        """In words: "41 of 60, 68 % (56 to 79)"."""
        if not self.of:
            return "–"
        low, high = 100 * self.low, 100 * self.high
        return f"{self.hits} of {self.of}, {100 * self.hits / self.of:.0f} % ({low:.0f} to {high:.0f})"


class ConditionRow(Row):
    """The marks with one kind of map.

    Attributes:
        maps: "true", "shuffled" (another image's) or "none".
        answered: critiques that were given; a case without one is wrong.
        cause: share whose planted cause is named.
        place: share whose place is named, of the cases that have one.
        right: share with both.
    """

    maps: Text
    answered: int
    cause: ShareRow
    place: ShareRow
    right: ShareRow


class PlantedRow(Row):
    """The share that is right with the true map, of one planted cause."""

    planted: Text
    right: ShareRow


class ExamCaseRow(Row):
    """One mistake and what was said of it.

    Attributes:
        planted: name of the planted cause.
        label, predicted: names of the true and the predicted class.
        truth: the planted cause in words.
        maps: kind of the map that was shown.
        stated: the critique's cause; empty where there is none.
        cause, place: whether they are named; place is None where the cause has none.
        picture: the panel that the critic looked at, else the image; a file below the exam's folder.
    """

    id: str
    planted: Text
    label: Text
    predicted: Text
    truth: Text
    maps: Text
    stated: Text = ""
    cause: bool
    place: bool | None = None
    picture: str | None = None


class Exam(Row):
    """An exam of a critic.

    Attributes:
        critic: its name, class, version and parameters.
        seed: of the images.
        sentence: the result in words.
        conditions: by kind of map.
        planted_sets: by planted cause.
        map_effect: mean difference in being right, true map less another image's, -1 to 1.
        map_low, map_high: its 95 % interval over the cases.
        map_p: one-sided, of a sign-flip test.
        usd: what it cost, in US dollars.
        unknown_usd: most that unanswered calls may have cost beside it.
        calls: paid replies.
        seconds: of the critiques and all else, over all sessions.
        cases: every case with every kind of map.
    """

    schema_version: Literal[1] = 1
    critic: dict[str, Plain]
    seed: int
    sentence: Text
    conditions: tuple[ConditionRow, ...]
    planted_sets: tuple[PlantedRow, ...]
    map_effect: float
    map_low: Number = None
    map_high: Number = None
    map_p: float
    usd: float = 0.0
    unknown_usd: float = 0.0
    calls: int = 0
    seconds: float = 0.0
    cases: tuple[ExamCaseRow, ...] = Field(default=())

    def dump(self) -> str:
        """The text of `exam.json`: UTF-8, indented by two, one final newline."""
        return self.model_dump_json(indent=2) + "\n"
