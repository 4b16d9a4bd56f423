"""Conversations between a critic and a model, as generators: the caller sends each question and passes the reply in."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar

from ...panel.sheet import MOST_EXAMPLES, WIDTH
from ...records import INTERRUPTED, JSON, Case, Critique, Failure, ImageCheck, ImageToCheck, Sheet, label_to_words
from ._answer_text import (
    UnusableError,
    declines,
    find_answer,
    parse_prompt,
    parse_stray_prompt,
    refuse_markup,
    shorten,
    to_line,
)
from ._image_encoding import EncodedImage, encode_image
from ._image_question import CHECK_SCHEMA, parse_check, to_case
from ._model_reply import ModelReply
from ._parsing import CAUSE, LONGEST, PROMPT, SCHEMA, PromptCheck, describe_form, parse_critique
from ._templates import CONTRAST, PICTURES, REFERENCES, SHEETS, fill

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

    def spell_form(self) -> Question:
        """The same question, which tells the form of the answer in words."""
        if self.schema is None:
            return self
        first, *others = self.turns
        spelt = replace(first, text=f"{first.text}\n\n{describe_form(self.schema)}")
        return replace(self, turns=(spelt, *others), schema=None)

    def inline_system(self) -> Question:
        """The same question, whose first message begins with the system text."""
        if not self.system:
            return self
        first, *others = self.turns
        return replace(self, system="", turns=(replace(first, text=f"{self.system}\n\n{first.text}"), *others))


@dataclass(frozen=True)
class Reading(Generic[Result]):
    """How an answer is read.

    Attributes:
        parse: a text that a model gave as its answer.
        parse_aside: a text it wrote elsewhere, for an answer without text.
        is_whole_alone: whether a text that can be parsed is whole, however the service says that it ended.
    """

    parse: Callable[[str], Result]
    parse_aside: Callable[[str], Result]
    is_whole_alone: bool = False

    def parse_reply(self, reply: ModelReply) -> Result:
        """The parsed answer.

        Raises:
            UnusableError: it is a refusal, not whole, empty, too long, or cannot be parsed.
        """
        _refuse_partial(reply)
        try:
            parsed = self._parse_text(reply)
        except UnusableError as error:
            raise _broken_off(reply) if reply.stop == "unknown" else error from None
        if reply.stop == "unknown" and not self.is_whole_alone:
            raise _broken_off(reply)
        return parsed

    def _parse_text(self, reply: ModelReply) -> Result:
        text, parse = find_answer(reply.text), self.parse
        if not text:
            text, parse = find_answer(reply.aside), self.parse_aside
        if not text:
            raise UnusableError("empty", "the answer is empty")
        if len(text) > LONGEST:
            raise UnusableError("too long", f"the answer has {len(text)} characters; at most {LONGEST} are read")
        if declines(text):
            raise UnusableError("refusal", f"the model declined: {shorten(text, CAUSE)}", repairable=False)
        return parse(text)


def _refuse_partial(reply: ModelReply) -> None:
    """Raises UnusableError for a refusal, and for an answer that is known not to be whole."""
    if reply.stop == "refusal":
        category = f" (category: {to_line(reply.category)})" if reply.category else ""
        reason = f"the model declined{category}: {reply.text or 'no reason given'}"
        raise UnusableError("refusal", reason, repairable=False)
    if reply.stop == "length":
        raise UnusableError("truncated", "the answer was cut off at the token limit; raise max_tokens")
    if reply.stop == "interrupted":
        raise _broken_off(reply)


def _broken_off(reply: ModelReply) -> UnusableError:
    reason = f"for the reason {to_line(reply.category)[:60]!r}" if reply.category else "without a reason"
    return UnusableError(INTERRUPTED, f"the answer ended {reason}, and may not be whole")


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
        reference_images: of each class below the mistake.
    """

    kind: str
    texts: Mapping[str, str]
    check: PromptCheck
    domain: str = ""
    layout: str = "side-by-side"
    side: int = 512
    max_tokens: int = 2_000
    reference_images: int = 0

    def discuss(self, case: Case) -> Conversation[Critique | Failure]:
        """The conversation about one case, ending in its critique or failure."""
        try:
            discuss = self._discuss_structured if self.kind == "structured" else self._discuss_paper
            return (yield from discuss(case))
        except UnusableError as error:
            return Failure(error.kind, shorten(error.reason, CAUSE))

    def check_image(self, image: ImageToCheck) -> Conversation[ImageCheck | Failure]:
        """The conversation about a new image: one question, and its answer or failure."""
        try:
            reading = Reading(parse_check, parse_check, is_whole_alone=True)
            return (yield from self._ask(self.image_question(image), to_case(image), reading))
        except UnusableError as error:
            return Failure(error.kind, shorten(error.reason, CAUSE))

    def image_question(self, image: ImageToCheck) -> Question:
        """The question about a new image."""
        case = to_case(image)
        text = self._text("check", case, wish=shorten(image.wish, PROMPT))
        turn = Turn("user", text, encode_image(image.image, self.side))
        return Question(self._text("system", case), (turn,), self.max_tokens, CHECK_SCHEMA)

    def first_question(self, case: Case) -> Question:
        """The first question about a case."""
        structured = self.kind == "structured"
        name = "structured" if structured else "paper_analysis"
        layout = self.layout if case.explanation is not None else "image-only"
        if case.sheet is None:
            picture = PICTURES[layout] + describe_references(case)
            text, width = self._text(name, case, picture=picture), self.side
        else:
            text, width = self._text_of_sheet(f"{name}_slice", case, case.sheet, SHEETS[layout]), WIDTH * self.side
        turn = Turn("user", text, encode_image(case.panel, width))
        system = self._text("system" if structured else "paper_system", case)
        return Question(system, (turn,), self.max_tokens, SCHEMA if structured else None)

    def _discuss_structured(self, case: Case) -> Conversation[Critique]:
        def parse(text: str) -> Critique:
            critique = parse_critique(text)
            refuse_markup(critique.prompt, label_to_words(case.label))
            self.check(critique.prompt, case.label)
            return critique

        return (yield from self._ask(self.first_question(case), case, Reading(parse, parse, is_whole_alone=True)))

    def _discuss_paper(self, case: Case) -> Conversation[Critique]:
        first = self.first_question(case)
        analysis = yield from self._ask(first, case, Reading(str, str))
        request = Turn("user", self._text("paper_prompt", case))
        label = label_to_words(case.label)
        turns = (*first.turns, Turn("assistant", analysis[:LONGEST]), request)
        prompt = yield from self._ask(
            replace(first, turns=turns),
            case,
            Reading(
                lambda text: self.check(parse_prompt(text, label), case.label),
                lambda text: self.check(parse_stray_prompt(text, label), case.label),
            ),
        )
        return Critique(cause=shorten(analysis, CAUSE), prompt=prompt, evidence=(shorten(analysis, ANALYSIS),))

    def _ask(self, question: Question, case: Case, reading: Reading[Result]) -> Conversation[Result]:
        """The parsed answer; an unusable one is asked for once more, with the reason."""
        is_repaired = False
        while True:
            reply = yield question
            try:
                return reading.parse_reply(reply)
            except UnusableError as error:
                if error.kind == INTERRUPTED and not reply.is_new:
                    continue  # it broke off in an earlier session
                if is_repaired or not error.repairable:
                    raise
                question, is_repaired = self._request_repair(question, reply, case, error), True

    def _request_repair(self, question: Question, reply: ModelReply, case: Case, error: UnusableError) -> Question:
        if reply.stop == "length":
            return replace(question, max_tokens=MORE * question.max_tokens)
        if error.kind == INTERRUPTED:
            return question
        repair = self._text("repair", case, reason=error.reason)
        schema = question.schema
        if schema is not None and error.kind in ("bad reply", "empty"):
            # The schema was ignored, or kept the model from answering.
            question, repair = replace(question, schema=None), f"{repair}\n\n{describe_form(schema)}"
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
            task=f" of {domain}" if domain else "",
            label=shorten(label_to_words(case.label), 100),
            predicted=shorten(label_to_words(case.predicted), 100),
            limit=limit,
            **more,
        )


def describe_references(case: Case) -> str:
    """What is said of the references below a mistake; empty where there are none."""
    names = [f"“{shorten(label_to_words(name), 100)}”" for name, images in case.references.items() if images]
    return REFERENCES.format(names=" and ".join(names)) if names else ""


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
