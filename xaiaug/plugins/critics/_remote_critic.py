"""A critic that asks a service and pays for it: one case is one talk, each of its questions a paid call."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from ...calls import CallError, Calls, MemoryLedger, Prices, imap_unordered
from ...errors import ConfigError
from ...interfaces import Context, Critic, PaidCalls
from ...records import JSON, BatchClient, BatchedCall, Case, Critique, Estimate, Failure, RawReply, digest
from ._by_name import second_critic
from ._conversation import Dialogue, Question, Said, check_dialogue, made_dialogue, together, words
from ._parsing import CAUSE, capped
from ._token_estimate import estimated, most_used

# What a result does not depend on: changing these finds all earlier work.
BESIDE = ("budget_usd", "prices", "timeout_s", "mode")
MODES = ("live", "batch")
IN_A_BATCH = 250  # cases; a run has a few such batches under way at once


@dataclass(frozen=True)
class _Asked:
    """A question with the key of its reply."""

    key: str
    question: Question


_Talk = Generator[_Asked, RawReply | CallError, Critique | Failure]


class RemoteCritic(Critic):
    """What the critics of paid services share; each has an `__init__` that stores these and more.

    Attributes:
        pixels_per_token: of a picture, by the service's rule.
    """

    remote = True
    pixels_per_token = 600

    model: str
    dialogue: str
    layout: str
    side: int
    domain: str
    templates: Mapping[str, str] | None
    max_tokens: int
    mode: str
    timeout_s: float
    second: Mapping[str, Any] | None
    budget_usd: float | None
    prices: Mapping[str, Mapping[str, JSON]] | None

    _dialogue: Dialogue
    _paid: PaidCalls
    _second: Critic | None = None
    _connected = False  # recorded replies are read one by one, whatever way they came

    @property
    def batch_size(self) -> int:  # type: ignore[override]  # follows from a parameter
        """Live, a run has many cases in flight at once, each kept as it is done; in a batch they go together."""
        return IN_A_BATCH if self.mode == "batch" else 1

    def check(self) -> None:
        """Raises what would stop it later: a wrong parameter, a missing package or key."""
        self._check_parameters()
        self._check_access()
        if self.second is not None:
            second_critic(self.second).check()

    def prepare(self, context: Context) -> None:
        """Connects, and takes the labels, the budget and the limits of prompts from the run."""
        self.check()
        self.ready(context)
        self._connect()
        self._connected = True
        if self.second is not None:
            self._second = second_critic(self.second)
            self._second.prepare(context)

    def ready(self, context: Context) -> None:
        """Gets ready to talk, without key, package or connection: enough where all replies are recorded."""
        self._dialogue = made_dialogue(self, context)
        # Outside a run there is no budget but its own, and no ledger but memory.
        self._paid = context.paid or Calls(
            MemoryLedger(), budget_usd=self.budget_usd, prices=Prices(self.prices) if self.prices else None
        )
        second = second_critic(self.second) if self.second is not None else None
        if isinstance(second, RemoteCritic):
            second.ready(context)
            self._second = second

    def critique(self, cases: Sequence[Case]) -> list[Critique | Failure]:
        """One critique a case, in order; many calls are in flight at once, or all of them in a batch."""
        made = self._in_a_batch(cases) if self._connected and self.mode == "batch" else self._live(cases)
        declined = [place for place, one in enumerate(made) if isinstance(one, Failure) and one.kind == "refusal"]
        if declined and self._second is not None:
            again = self._second.critique([cases[place] for place in declined])
            for place, one in zip(declined, again, strict=True):
                made[place] = one
        return made

    def identity(self) -> dict[str, JSON]:
        """What a result depends on: also on our own words and schema, and not on what a call may cost."""
        found = super().identity()
        given = {name: value for name, value in self.parameters().items() if name not in BESIDE}
        return {**found, "parameters": given, "words": words(self.templates)}

    def estimate(self, items: int) -> Estimate:
        """Calls, tokens and bytes by the texts it would send; panels are taken for those of square images."""
        if not items:
            found = Estimate(model=self.model, receiver=self._receiver())
        else:
            dialogue = made_dialogue(self, Context())
            found = estimated(dialogue, self.model, self._receiver(), self.pixels_per_token, items)
        second = None if self.second is None else second_critic(self.second).estimate(0)
        return replace(found, batched=self.mode == "batch", second=second)

    def _live(self, cases: Sequence[Case]) -> list[Critique | Failure]:
        if len(cases) == 1:
            return [self._one(cases[0])]
        made = dict(imap_unordered(self._one, cases))
        return [made[place] for place in range(len(cases))]

    def _one(self, case: Case) -> Critique | Failure:
        return together([self._talk(case)], lambda asked: [self._called(one) for one in asked])[0]

    def _in_a_batch(self, cases: Sequence[Case]) -> list[Critique | Failure]:
        courier = self._courier()
        return together([self._talk(case) for case in cases], lambda asked: self._batched(asked, courier))

    def _talk(self, case: Case) -> _Talk:
        """The dialogue about a case, as calls whose replies somebody else fetches."""
        talk, said, keys = self._dialogue.talk(case), None, list[str]()
        try:
            while True:
                question = next(talk) if said is None else talk.send(said)
                keys.append(self._key(case, len(keys), question))
                reply = yield _Asked(keys[-1], question)
                if isinstance(reply, CallError):
                    return Failure(_kind(reply), capped(reply.message, CAUSE))
                said = self._heard(reply.body)
        except StopIteration as done:
            made: Critique | Failure = done.value
        if isinstance(made, Failure):
            self._paid.reject(keys[-1], made.message)
        return made

    def _heard(self, body: Mapping[str, JSON]) -> Said:
        try:
            return self._said(body)
        except (AttributeError, TypeError):
            return Said("")  # a body of a shape nobody described says nothing

    def _called(self, asked: _Asked) -> RawReply | CallError:
        request, worst = self._request(asked.question), self._worst(asked.question)
        try:
            return self._paid.call(asked.key, request, worst_case_usd=worst, send=self._send)
        except CallError as error:
            return error

    def _batched(self, asked: Sequence[_Asked], courier: BatchClient) -> list[RawReply | CallError]:
        calls = [BatchedCall(one.key, self._request(one.question), self._worst(one.question)) for one in asked]
        return self._paid.batch(calls, courier)

    def _worst(self, question: Question) -> float:
        return self._paid.worst_case_usd(self.model, most_used(question, self.pixels_per_token))

    def _key(self, case: Case, number: int, question: Question) -> str:
        """Equal for calls whose replies may stand for each other; its beginning says which case they are about."""
        return f"{about(case, self.dialogue, number)}:{digest([self._asks(), question.to_json()])}"

    def _asks(self) -> JSON:
        """All that goes into a request besides the question."""
        return [type(self).__name__, self.model]

    def _check_parameters(self) -> None:
        check_dialogue(self)
        if self.mode not in MODES:
            raise ConfigError(f"{type(self).__name__}: mode must be one of {', '.join(MODES)}, got {self.mode!r}")
        if not self.timeout_s >= 1:
            raise ConfigError(f"{type(self).__name__}: timeout_s must be at least 1, got {self.timeout_s}")

    @abstractmethod
    def _check_access(self) -> None:
        """Raises when the package or the key is missing."""

    @abstractmethod
    def _connect(self) -> None:
        """Makes the client."""

    @abstractmethod
    def _address(self) -> str:
        """Of the service."""

    def _receiver(self) -> str:
        """The host that gets what is sent."""
        return urlsplit(self._address()).hostname or ""

    @abstractmethod
    def _request(self, question: Question) -> dict[str, Any]:
        """The question as the service takes it."""

    @abstractmethod
    def _send(self, request: Mapping[str, JSON]) -> RawReply:
        """Sends it once; returns every reply that has a usage."""

    @abstractmethod
    def _courier(self) -> BatchClient:
        """Carries batches to the service."""

    @abstractmethod
    def _said(self, body: Mapping[str, JSON]) -> Said:
        """What a reply says."""


def about(case: Case, dialogue: str, number: int) -> str:
    """The beginning of a key: which case, shown with or without a map, in which dialogue, at which of its questions."""
    shown = "map" if case.explanation is not None else "no-map"
    pair = digest([case.label, case.predicted])[:8]
    return f"critique:{case.id}:{pair}:{shown}:{dialogue}:{number}"


def _kind(error: CallError) -> str:
    # Azure turns a prompt away with an error where others answer with a refusal.
    return "refusal" if error.status == 400 and "content_filter" in error.message else "call failed"
