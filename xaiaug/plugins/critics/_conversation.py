"""The dialogues between a critic and a model, each a talk that somebody else drives."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeVar

from ...errors import ConfigError
from ...interfaces import Context
from ...panel import LAYOUTS
from ...records import JSON, Case, Critique, Failure, digest, label_to_words
from ._image_encoding import Picture, prepare
from ._parsing import CAUSE, LONGEST, SCHEMA, PromptCheck, UnusableError, capped, plain, read_critique, read_prompt
from ._templates import PICTURES, filled, templates

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


DIALOGUES = ("structured", "paper")
ANALYSIS = 4_000  # characters of an analysis that are kept
ECHO = 4_000  # characters of an answer that are sent back when it is to be mended
MORE = 2  # times the tokens for an answer that was cut


@dataclass(frozen=True)
class Dialogue:
    """How a critic talks.

    Attributes:
        kind: "structured" (one question, bound to a schema) or "paper" (an analysis, then the prompt alone).
        texts: all templates.
        check: what a prompt must keep to.
        domain: one line on what the images are; may be empty.
        layout: of the panels.
        side: pixels of a panel.
        max_tokens: most an answer may take.
    """

    kind: str
    texts: Mapping[str, str]
    check: PromptCheck
    domain: str = ""
    layout: str = "side-by-side"
    side: int = 512
    max_tokens: int = 2_000

    def talk(self, case: Case) -> Talk[Critique | Failure]:
        """The dialogue about one case, to its critique or failure."""
        try:
            return (yield from (self._structured(case) if self.kind == "structured" else self._paper(case)))
        except UnusableError as error:
            return Failure(error.kind, capped(error.reason, CAUSE))

    def opening(self, case: Case) -> Question:
        """The first question about a case."""
        structured = self.kind == "structured"
        layout = self.layout if case.explanation is not None else "image-only"
        text = self._text("structured" if structured else "paper_analysis", case, picture=PICTURES[layout])
        turn = Turn("user", text, prepare(case.panel, self.side))
        return Question(self._text("system", case), (turn,), self.max_tokens, SCHEMA if structured else None)

    def _structured(self, case: Case) -> Talk[Critique]:
        def read(text: str) -> Critique:
            critique = read_critique(text)
            self.check(critique.prompt, case.label)
            return critique

        return (yield from self._asked(self.opening(case), case, read))

    def _paper(self, case: Case) -> Talk[Critique]:
        opening = self.opening(case)
        analysis = yield from self._asked(opening, case, lambda text: text)
        wish = Turn("user", self._text("paper_prompt", case))
        turns = (*opening.turns, Turn("assistant", analysis[:LONGEST]), wish)
        prompt = yield from self._asked(
            replace(opening, turns=turns), case, lambda text: self.check(read_prompt(text), case.label)
        )
        return Critique(cause=capped(analysis, CAUSE), prompt=prompt, evidence=(capped(analysis, ANALYSIS),))

    def _asked(self, question: Question, case: Case, read: Callable[[str], Made]) -> Talk[Made]:
        """What is read from the answer; one that cannot be used is asked for once more."""
        said = yield question
        try:
            return _judged(said, read)
        except UnusableError as error:
            if not error.mendable:
                raise
            said = yield self._mended(question, said, case, error)
        return _judged(said, read)

    def _mended(self, question: Question, said: Said, case: Case, error: UnusableError) -> Question:
        if said.stop == "length":
            return replace(question, max_tokens=MORE * question.max_tokens)
        wish = self._text("repair", case, reason=error.reason)
        *before, last = question.turns
        answer = plain(said.text)[:ECHO]
        if not answer:  # services refuse an empty message
            return replace(question, turns=(*before, replace(last, text=f"{last.text}\n\n{wish}")))
        return replace(question, turns=(*question.turns, Turn("assistant", answer), Turn("user", wish)))

    def _text(self, name: str, case: Case, **more: str) -> str:
        limit = f" and {self.check.token_limit} tokens" if self.check.token_limit is not None else ""
        fields: dict[str, Any] = {"label": _spoken(case.label), "predicted": _spoken(case.predicted), "limit": limit}
        domain = plain(self.domain)
        return filled(self.texts[name], domain=f"The images: {domain}. " if domain else "", **fields, **more)


def _judged(said: Said, read: Callable[[str], Made]) -> Made:
    if said.stop == "refusal":
        category = f" (category: {plain(said.category)})" if said.category else ""
        raise UnusableError(
            "refusal", f"the model declined{category}: {said.text or 'no reason given'}", mendable=False
        )
    if said.stop == "length":
        raise UnusableError("truncated", "the answer was cut off at the limit of tokens; raise max_tokens")
    text = said.text.rpartition("</think>")[2].strip()
    if not text:
        raise UnusableError("empty", "the answer is empty")
    if len(text) > LONGEST:
        raise UnusableError("too long", f"the answer has {len(text)} characters; at most {LONGEST} are read")
    return read(text)


def _spoken(label: str) -> str:
    return capped(label_to_words(label), 100)


class Talking(Protocol):
    """A critic that talks to a model."""

    dialogue: str
    layout: str
    side: int
    domain: str
    templates: Mapping[str, str] | None
    max_tokens: int


def check_dialogue(critic: Talking) -> None:
    """Raises ConfigError when one of them cannot be used."""
    who = type(critic).__name__
    for name, known in (("dialogue", DIALOGUES), ("layout", tuple(LAYOUTS))):
        if getattr(critic, name) not in known:
            raise ConfigError(f"{who}: {name} must be one of {', '.join(known)}, got {getattr(critic, name)!r}")
    for name, least in (("side", 200), ("max_tokens", 100)):
        if not getattr(critic, name) >= least:
            raise ConfigError(f"{who}: {name} must be at least {least}, got {getattr(critic, name)}")
    templates(critic.templates)


def made_dialogue(critic: Talking, context: Context) -> Dialogue:
    """How it talks in a run."""
    check = PromptCheck(context.labels, context.count_tokens, context.token_limit)
    texts = templates(critic.templates)
    return Dialogue(critic.dialogue, texts, check, critic.domain, critic.layout, critic.side, critic.max_tokens)


def words(given: Mapping[str, str] | None) -> str:
    """Equal for equal templates and schema: what a result depends on besides the class and its parameters."""
    texts: dict[str, JSON] = dict(templates(given))
    return digest([texts, SCHEMA])[:16]


Asked = TypeVar("Asked")
Heard = TypeVar("Heard")


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
