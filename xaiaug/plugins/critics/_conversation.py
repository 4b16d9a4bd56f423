"""Conversations between a critic and a model, as generators: the caller sends each question and passes the reply in."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from ...panel.sheet import MOST_EXAMPLES, WIDTH
from ...records import JSON, Case, Critique, Failure, Sheet, label_to_words
from ._image_encoding import EncodedImage, encode_image
from ._parsing import (
    CAUSE,
    LONGEST,
    SCHEMA,
    PromptCheck,
    UnusableError,
    parse_critique,
    parse_prompt,
    shorten,
    to_line,
)
from ._templates import CONTRAST, PICTURES, SHEETS, fill

DIALOGUES = ("structured", "paper")
ANALYSIS = 4_000  # characters of an analysis that are kept
ECHO = 4_000  # characters of an unusable answer that are sent back
MORE = 2  # factor on the tokens after an answer was cut off

Result = TypeVar("Result")
Conversation = Generator["Question", "ModelReply", Result]


@dataclass(frozen=True)
class Turn:
    """One message of a dialogue.

    Attributes:
        role: of its author.
        text: of the message.
        picture: comes before the text.
    """

    role: Literal["user", "assistant"]
    text: str
    picture: EncodedImage | None = None


@dataclass(frozen=True)
class Question:
    """A dialogue whose next message is the model's.

    Attributes:
        system: the system text.
        turns: the messages so far; the last one is the user's.
        max_tokens: maximum length of the answer.
        schema: JSON schema of the answer; None for plain text.
    """

    system: str
    turns: tuple[Turn, ...]
    max_tokens: int
    schema: Mapping[str, Any] | None = None

    def to_json(self) -> JSON:
        """JSON-plain and equal for equal questions; a picture is represented by its digest."""
        turns: list[JSON] = [
            [turn.role, turn.text, None if turn.picture is None else turn.picture.digest] for turn in self.turns
        ]
        schema = None if self.schema is None else dict(self.schema)
        return {"system": self.system, "turns": turns, "max_tokens": self.max_tokens, "schema": schema}


@dataclass(frozen=True)
class ModelReply:
    """A model's reply.

    Attributes:
        text: without the model's thinking; of a refusal, its reason.
        stop: "end", "length" (cut off at the token limit) or "refusal".
        category: of a refusal, if the service gives one.
    """

    text: str
    stop: Literal["end", "length", "refusal"] = "end"
    category: str = ""


@dataclass(frozen=True)
class Dialogue:
    """The questions a critic asks, and how their answers become a critique.

    Attributes:
        kind: "structured" (one question, bound to a schema) or "paper" (an analysis, then the prompt alone).
        texts: all templates.
        check: rules for prompts.
        domain: one line describing the images; may be empty.
        layout: of the panels.
        side: pixels of a panel.
        max_tokens: maximum length of an answer.
    """

    kind: str
    texts: Mapping[str, str]
    check: PromptCheck
    domain: str = ""
    layout: str = "side-by-side"
    side: int = 512
    max_tokens: int = 2_000

    def discuss(self, case: Case) -> Conversation[Critique | Failure]:
        """The conversation about one case, ending in its critique or failure."""
        try:
            discuss = self._discuss_structured if self.kind == "structured" else self._discuss_paper
            return (yield from discuss(case))
        except UnusableError as error:
            return Failure(error.kind, shorten(error.reason, CAUSE))

    def first_question(self, case: Case) -> Question:
        """The first question about a case."""
        structured = self.kind == "structured"
        name = "structured" if structured else "paper_analysis"
        layout = self.layout if case.explanation is not None else "image-only"
        if case.sheet is None:
            text, width = self._text(name, case, picture=PICTURES[layout]), self.side
        else:
            text, width = self._text_of_sheet(f"{name}_slice", case, case.sheet, SHEETS[layout]), WIDTH * self.side
        turn = Turn("user", text, encode_image(case.panel, width))
        return Question(self._text("system", case), (turn,), self.max_tokens, SCHEMA if structured else None)

    def _discuss_structured(self, case: Case) -> Conversation[Critique]:
        def parse(text: str) -> Critique:
            critique = parse_critique(text)
            self.check(critique.prompt, case.label)
            return critique

        return (yield from self._ask(self.first_question(case), case, parse))

    def _discuss_paper(self, case: Case) -> Conversation[Critique]:
        first = self.first_question(case)
        analysis = yield from self._ask(first, case, lambda text: text)
        request = Turn("user", self._text("paper_prompt", case))
        turns = (*first.turns, Turn("assistant", analysis[:LONGEST]), request)
        prompt = yield from self._ask(
            replace(first, turns=turns), case, lambda text: self.check(parse_prompt(text), case.label)
        )
        return Critique(cause=shorten(analysis, CAUSE), prompt=prompt, evidence=(shorten(analysis, ANALYSIS),))

    def _ask(self, question: Question, case: Case, parse: Callable[[str], Result]) -> Conversation[Result]:
        """The parsed answer; an unusable one is asked for once more, with the reason."""
        reply = yield question
        try:
            return _parse_reply(reply, parse)
        except UnusableError as error:
            if not error.repairable:
                raise
            reply = yield self._request_repair(question, reply, case, error)
        return _parse_reply(reply, parse)

    def _request_repair(self, question: Question, reply: ModelReply, case: Case, error: UnusableError) -> Question:
        if reply.stop == "length":
            return replace(question, max_tokens=MORE * question.max_tokens)
        repair = self._text("repair", case, reason=error.reason)
        *before, last = question.turns
        answer = to_line(reply.text)[:ECHO]
        if not answer:  # services reject an empty message
            return replace(question, turns=(*before, replace(last, text=f"{last.text}\n\n{repair}")))
        return replace(question, turns=(*question.turns, Turn("assistant", answer), Turn("user", repair)))

    def _text_of_sheet(self, name: str, case: Case, sheet: Sheet, picture: str) -> str:
        return self._text(
            name,
            case,
            picture=picture + CONTRAST * bool(sheet.contrast),
            slice=shorten(sheet.slice.name, 200),
            shown=str(min(len(sheet.examples), MOST_EXAMPLES)),
            mistakes=str(sheet.mistakes),
        )

    def _text(self, name: str, case: Case, **more: str) -> str:
        limit = f" and {self.check.token_limit} tokens" if self.check.token_limit is not None else ""
        domain = to_line(self.domain)
        return fill(
            self.texts[name],
            domain=f"The images: {domain}. " if domain else "",
            label=shorten(label_to_words(case.label), 100),
            predicted=shorten(label_to_words(case.predicted), 100),
            limit=limit,
            **more,
        )


def _parse_reply(reply: ModelReply, parse: Callable[[str], Result]) -> Result:
    if reply.stop == "refusal":
        category = f" (category: {to_line(reply.category)})" if reply.category else ""
        raise UnusableError(
            "refusal", f"the model declined{category}: {reply.text or 'no reason given'}", repairable=False
        )
    if reply.stop == "length":
        raise UnusableError("truncated", "the answer was cut off at the token limit; raise max_tokens")
    text = reply.text.rpartition("</think>")[2].strip()
    if not text:
        raise UnusableError("empty", "the answer is empty")
    if len(text) > LONGEST:
        raise UnusableError("too long", f"the answer has {len(text)} characters; at most {LONGEST} are read")
    return parse(text)


Asked = TypeVar("Asked")
Reply = TypeVar("Reply")


def run_conversations(
    conversations: Sequence[Generator[Asked, Reply, Result]], ask: Callable[[list[Asked]], Sequence[Reply]]
) -> list[Result]:
    """Runs conversations side by side; returns the result of each, in order.

    Args:
        conversations: not started.
        ask: the replies to questions, in order; called until no conversation has a question left.
    """
    results: dict[int, Result] = {}
    replies: dict[int, Reply | None] = dict.fromkeys(range(len(conversations)))
    while replies:
        questions: dict[int, Asked] = {}
        for i, reply in replies.items():
            try:
                questions[i] = next(conversations[i]) if reply is None else conversations[i].send(reply)
            except StopIteration as end:
                results[i] = end.value
        replies = dict(zip(questions, ask(list(questions.values())), strict=True)) if questions else {}
    return [results[i] for i in range(len(conversations))]
