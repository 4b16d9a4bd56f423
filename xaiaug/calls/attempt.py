"""One attempt at a call: reserve, commit the intent, send, commit the reply."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..errors import CallError
from ..records import JSON, RawReply
from .budget import Budget
from .circuit_breaker import CircuitBreaker, Clock
from .concurrency import CallLimiter
from .ledger import Ledger
from .prices import Price
from .retry import may_be_billed, network_error

Send = Callable[[Mapping[str, JSON]], RawReply]


@dataclass(frozen=True)
class Job:
    """A call to be made.

    Attributes:
        key: its reply is recorded under this key.
        request: the body to send.
        send: sends the request once.
        price: of its model.
        worst: maximum cost, in picodollars; 0 if the model is free.
    """

    key: str
    request: Mapping[str, JSON]
    send: Send
    price: Price
    worst: int


@dataclass(frozen=True)
class Answer:
    """The answer to an intent, not committed yet.

    Attributes:
        intent: its number in the ledger.
        worst: amount reserved for it, in picodollars.
        reply: as received.
    """

    intent: int
    worst: int
    reply: RawReply


@dataclass(frozen=True)
class CallSender:
    """Sends jobs, and updates ledger and budget with the outcome.

    If a commit fails, or the service may have billed a call without a reply, its worst case stays reserved for good.
    """

    ledger: Ledger
    budget: Budget
    limiter: CallLimiter
    breaker: CircuitBreaker
    clock: Clock

    def send(self, job: Job) -> Answer:
        """Commits the intent of a job and sends it once.

        Raises:
            CallError: the service or the network failed this time.
            BudgetSpentError: the budget does not cover the worst case.
        """
        self.limiter.await_turn()
        worst = self.budget.reserve(job.worst) if job.worst else 0
        intent = self._commit_intent(job, worst)
        sent_s = self.clock.now()
        try:
            reply = job.send(job.request)
        except (CallError, OSError) as raised:
            error = raised if isinstance(raised, CallError) else network_error(raised)
            self._close_failed(intent, worst, sent_s, error)
            raise error from (None if error is raised else raised)
        except BaseException:
            self.budget.mark_unknown(worst)
            raise
        self.limiter.on_answer(self.clock.now() - sent_s)
        return Answer(intent, worst, reply)

    def settle(self, job: Job, answer: Answer) -> RawReply:
        """Commits an answer and its cost."""
        usage = answer.reply.usage
        cost = job.price.cost(usage)
        if not job.price.covers(usage):
            cost = max(cost, answer.worst)  # usage without a rate is not assumed to be free
        try:
            self.ledger.settle(answer.intent, answer.reply, cost)
        except BaseException:
            self.budget.mark_unknown(answer.worst)
            raise
        self.budget.settle(answer.worst, cost)
        return answer.reply

    def _commit_intent(self, job: Job, worst: int) -> int:
        try:
            self.breaker.check()
            return self.ledger.intend(job.key, job.price.to_row(), worst)
        except BaseException:
            self.budget.release(worst)
            raise

    def _close_failed(self, intent: int, worst: int, sent_s: float, error: CallError) -> None:
        if error.status == 429 and error.kind == "retry":
            self.limiter.on_throttle(sent_s)
        if may_be_billed(error):
            self.budget.mark_unknown(worst)
            return
        try:
            self.ledger.release(intent)
        except BaseException:
            self.budget.mark_unknown(worst)
            raise
        self.budget.release(worst)
