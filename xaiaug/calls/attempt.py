"""One attempt at a call: reserve, commit the intent, send, commit the reply."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..errors import CallError
from ..records import JSON, RawReply
from .budget import Budget
from .circuit_breaker import CircuitBreaker, Clock
from .concurrency import CallGate
from .ledger import Ledger
from .prices import Price
from .retry import from_network, may_be_billed

Send = Callable[[Mapping[str, JSON]], RawReply]


@dataclass(frozen=True)
class Job:
    """A call to be made.

    Attributes:
        key: what its reply is recorded under.
        request: what is sent.
        send: sends it once.
        price: of its model.
        worst: most it can cost, in picodollars; 0 where it is free.
    """

    key: str
    request: Mapping[str, JSON]
    send: Send
    price: Price
    worst: int


@dataclass(frozen=True)
class Answer:
    """What the service answered to an intent; not committed yet.

    Attributes:
        intent: its number in the ledger.
        worst: what is reserved for it, in picodollars.
        reply: as received.
    """

    intent: int
    worst: int
    reply: RawReply


@dataclass(frozen=True)
class Attempts:
    """Sends jobs, and keeps ledger and budget in step with what became of them.

    Where a commit fails, or it is not known what the service did, the worst case stays spoken for.
    """

    ledger: Ledger
    budget: Budget
    gate: CallGate
    halt: CircuitBreaker
    clock: Clock

    def send(self, job: Job) -> Answer:
        """Sends a job once, its intent committed.

        Raises:
            CallError: the service or the network failed this time.
            BudgetSpentError: the worst case is not left.
        """
        self.gate.turn()
        worst = self.budget.reserve(job.worst) if job.worst else 0
        intent = self._intend(job, worst)
        began = self.clock.now()
        try:
            reply = job.send(job.request)
        except (CallError, OSError) as raised:
            error = raised if isinstance(raised, CallError) else from_network(raised)
            self._failed(intent, worst, began, error)
            raise error from (None if error is raised else raised)
        except BaseException:
            self.budget.lose(worst)
            raise
        self.gate.answered(self.clock.now() - began)
        return Answer(intent, worst, reply)

    def settle(self, job: Job, answer: Answer) -> RawReply:
        """Commits an answer and what it cost."""
        usage = answer.reply.usage
        cost = job.price.cost(usage)
        if not job.price.covers(usage):
            cost = max(cost, answer.worst)  # something was used that has no rate: it is not taken for free
        try:
            self.ledger.settle(answer.intent, answer.reply, cost)
        except BaseException:
            self.budget.lose(answer.worst)
            raise
        self.budget.settle(answer.worst, cost)
        return answer.reply

    def _intend(self, job: Job, worst: int) -> int:
        try:
            self.halt.check()
            return self.ledger.intend(job.key, job.price.to_row(), worst)
        except BaseException:
            self.budget.release(worst)
            raise

    def _failed(self, intent: int, worst: int, sent_s: float, error: CallError) -> None:
        if error.status == 429 and error.kind == "retry":
            self.gate.throttled(sent_s)
        if may_be_billed(error):
            self.budget.lose(worst)
            return
        try:
            self.ledger.release(intent)
        except BaseException:
            self.budget.lose(worst)
            raise
        self.budget.release(worst)
