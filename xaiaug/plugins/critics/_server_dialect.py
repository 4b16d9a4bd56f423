"""How a server wants to be asked: by which API, with a schema or not, under which names; found by its first answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ...calls import CallError
from ...calls.retry import may_be_billed
from ...records import RawReply
from ._conversation import Question

LIMITS = ("max_tokens", "max_completion_tokens")
SYSTEM_ROLES = ("system", "developer", "user")
NO_SUCH_API = {404, 405, 501}
_SERVER_ERRORS = (500, 501)
_OF_THE_REQUEST = {400, 404, 415, 422, 500, 501}  # statuses that a request asked otherwise may not meet
# Words that name no fault: it may be the schema.
_BARE = re.compile(
    r"^(.{0,60}: )?\W*(error code|bad request|(request contains an )?invalid (request|argument|param|input)|internal"
    r"|unprocessable|unknown error|server error|validation error)[^:]{0,40}$",
    re.I,
)
_SCHEMA = re.compile(
    r"response.?format|json.?(schema|mode|object)|structured|output_config|output_format|text\.format|\bschema"
    r"|grammar|guided|constrained|\bformat\b",
    re.I,
)
_LIMIT = re.compile(r"max_completion_tokens|max_tokens", re.I)
_NOT_KNOWN = re.compile(
    r"not supported|unsupported|unrecogni|unknown|extra|not permitted|forbidden|instead|deprecat", re.I
)
_SYSTEM = re.compile(
    r"system.{0,20}(role|message|prompt|instruction)|role.{0,30}(system|developer)|developer.{0,20}(role|message|instr)"
    r"|roles? must alternate|unexpected role",
    re.I,
)


@dataclass(frozen=True)
class Dialect:
    """How a server wants to be asked.

    Attributes:
        api: "responses", "chat" or "messages".
        schema: whether the answer is bound to a schema; else its form is told in words.
        limit: the name of the token limit in Chat Completions.
        system_role: role of the system text; "user": it begins the first message.
    """

    api: str
    schema: bool = True
    limit: str = LIMITS[0]
    system_role: str = SYSTEM_ROLES[0]

    def phrase(self, question: Question) -> Question:
        """The question without what the server does not take."""
        spelt = question if self.schema else question.spell_form()
        return spelt.inline_system() if self.system_role == "user" else spelt


class DialectFinder:
    """Asks a server, and asks again in another way what it rejects; what worked is remembered. Threads may share it.

    Where the server's words name the fault, that is changed. Before the first answer of a server that is not the
    provider's own, Chat Completions is tried once after any failure, and a question without schema after one that
    names no fault. What may be billed is not asked again within a call. A schema that a server error (500) made
    suspect is given up for good only when that happens twice: the first may have been an outage.

    Args:
        dialect: the first one.
        probes: what is tried before the first answer: "api" (Chat Completions) and "schema" (none).
        settled: names of the parts of the dialect that the user has set.
    """

    def __init__(self, dialect: Dialect, *, probes: Iterable[str] = (), settled: frozenset[str] = frozenset()) -> None:
        self.dialect = dialect
        self._settled = settled
        self._untried = set(probes)
        self._suspects_schema = False

    def ask(self, question: Question, post: Callable[[Question, Dialect], RawReply]) -> RawReply:
        """The reply to a question.

        Args:
            question: as the dialogue has it.
            post: sends it once, in a dialect.

        Raises:
            CallError: the server rejects it in every way.
        """
        tried = [self.dialect]
        errors: list[CallError] = []
        while True:
            try:
                reply = post(tried[-1].phrase(question), tried[-1])
            except CallError as error:
                errors.append(error)
            else:
                self._remember(tried, errors)
                return reply
            other = self._alternative(tried, question, errors[-1])
            if other is None:
                raise self._most_telling(tried, errors)
            tried.append(other)

    def _remember(self, tried: Sequence[Dialect], errors: Sequence[CallError]) -> None:
        """Keeps what worked."""
        self.dialect, self._untried = tried[-1], set()
        gave_up = len(tried) > 1 and tried[-2].schema and not tried[-1].schema
        if gave_up and errors[-1].status in _SERVER_ERRORS and not self._suspects_schema:
            self._suspects_schema = True
            self.dialect, self._untried = replace(tried[-1], schema=True), {"schema"}

    def _alternative(self, tried: Sequence[Dialect], question: Question, error: CallError) -> Dialect | None:
        """Another way to ask that was not tried yet; None if there is none."""
        dialect = tried[-1]
        if error.kind == "refusal":
            return None
        if dialect.api == "responses" and "api" in self._untried:
            return self._take_chat(error)
        if may_be_billed(error) or error.status not in _OF_THE_REQUEST:
            return None
        named = self._named_alternative(dialect, question, error.message)
        if named is not None and named not in tried:
            return named
        bound = question.schema is not None and dialect.schema
        if bound and "schema" in self._untried and (error.status in _SERVER_ERRORS or _BARE.match(error.message)):
            self._untried.discard("schema")
            return replace(dialect, schema=False)
        return None

    def _take_chat(self, error: CallError) -> Dialect:
        """Chat Completions from now on: at once, or with the next attempt where this one may be billed."""
        self._untried.discard("api")
        self.dialect = replace(self.dialect, api="chat")
        if may_be_billed(error) or not error.reached:
            raise CallError(
                "retry", error.message, status=error.status, reached=error.reached, timed_out=error.timed_out
            )
        return self.dialect

    def _named_alternative(self, dialect: Dialect, question: Question, words: str) -> Dialect | None:
        """The dialect without what the server's words name."""
        free = {"limit", "system_role", "schema"} - self._settled
        if "limit" in free and dialect.api == "chat" and _LIMIT.search(words) and _NOT_KNOWN.search(words):
            return replace(dialect, limit=next(name for name in LIMITS if name != dialect.limit))
        if "system_role" in free and question.system and dialect.system_role != "user" and _SYSTEM.search(words):
            return replace(dialect, system_role="user")
        if "schema" in free and question.schema is not None and dialect.schema and _SCHEMA.search(words):
            return replace(dialect, schema=False)
        return None

    def _most_telling(self, tried: Sequence[Dialect], errors: Sequence[CallError]) -> CallError:
        """The last error, but for one of a path that is not there: it says nothing of the question."""
        if len(errors) > 1 and errors[-1].status in NO_SUCH_API and errors[0].status not in NO_SUCH_API:
            self.dialect = tried[0]
            return errors[0]
        return errors[-1]
