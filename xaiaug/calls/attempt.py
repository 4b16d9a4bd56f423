"""One attempt at a call: reserve, commit the intent, send, commit the reply."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ..errors import CallError
from ..records import JSON, PICO, UNKNOWN_USAGE, RawReply
from .budget import MOST_A_CALL, Budget
from .circuit_breaker import CircuitBreaker, Clock
from .concurrency import CallLimiter, FirstCalls
from .ledger import Ledger
from .prices import Price
from .retry import is_unsent, may_be_billed, network_error, unsent_error

Send = Callable[[Mapping[str, JSON]], RawReply]


@dataclass(frozen=True)
class Job:
    """A call to be made.

    Attributes:
        key: its reply is recorded under this key.
        request: the body to send.
        send: sends the request once.
        price: of its model.
        worst: maximum cost as stated by its plugin, in picodollars; 0 if the model is free.
    """

    key: str
    request: Mapping[str, JSON]
    send: Send
    price: Price
    worst: int

    @property
    def model(self) -> str:
        """The name of its model in the budget."""
        return self.price.model


@dataclass(frozen=True)
class Answer:
    """The answer to an intent.

    Attributes:
        intent: its number in the ledger.
        reply: as received.
        settled: whether it is committed.
    """

    intent: int
    reply: RawReply
    settled: bool = False


@dataclass(frozen=True)
class CallSender:
    """Sends jobs, and updates ledger and budget with the outcome.

    If a commit fails, or the service may have billed a call without a reply, its worst case stays reserved for good.
    """

    ledger: Ledger
    budget: Budget
    limiter: CallLimiter
    first_calls: FirstCalls
    breaker: CircuitBreaker
    clock: Clock

    def send(self, job: Job) -> Answer:
        """Commits the intent of a job and sends it once; the first answer of a model is settled at once.

        Raises:
            CallError: the service or the network failed this time.
            BudgetSpentError: the budget does not cover the worst case.
        """
        with self.first_calls.await_turn(job.model) as alone:
            answer = self._send(job)
            return replace(answer, reply=self.settle(job, answer), settled=True) if alone else answer

    def _send(self, job: Job) -> Answer:
        self.limiter.await_turn()
        if job.worst:
            self.budget.reserve(job.model, job.worst)
        intent = self._commit_intent(job)
        sent_s = self.clock.now()
        try:
            reply = job.send(job.request)
        except (CallError, OSError) as raised:
            error = raised if isinstance(raised, CallError) else network_error(raised)
            self._close_failed(job, intent, sent_s, error)
            raise error from (None if error is raised else raised)
        except BaseException as raised:
            if is_unsent(raised):
                error = unsent_error(raised)
                self._close_failed(job, intent, sent_s, error)
                raise error from None  # the cause may hold the key
            self.budget.mark_unknown(job.model, job.worst)
            raise
        self.limiter.on_answer(self.clock.now() - sent_s)
        return Answer(intent, reply)

    def settle(self, job: Job, answer: Answer) -> RawReply:
        """Commits an answer and its cost."""
        if answer.settled:
            return answer.reply
        cost = self._cost(job, answer.reply)
        reply = answer.reply
        told = reply.stated is not None or job.price.covers(reply.usage)
        if not told or (reply.stated is None and job.price.cost(reply.usage) > cost):
            reply = replace(reply, usage=UNKNOWN_USAGE)  # counted at its worst case, and told as such
        try:
            self.ledger.settle(answer.intent, reply, cost)
        except BaseException:
            self.budget.mark_unknown(job.model, job.worst)
            raise
        self.budget.settle(job.model, job.worst, cost)
        return reply

    def _cost(self, job: Job, reply: RawReply) -> int:
        """The cost of a reply; the worst case if its usage does not tell it, or it is more than a call can cost.

        What the service states wins: it knows its own prices, and the route that it took.
        """
        if reply.stated is not None and not job.price.free:
            return reply.stated
        cost, assumed = job.price.cost(reply.usage), self.budget.assumed_cost(job.model, job.worst)
        if cost > max(MOST_A_CALL * PICO, assumed):
            return assumed
        return cost if job.price.covers(reply.usage) else max(cost, assumed)

    def _commit_intent(self, job: Job) -> int:
        try:
            self.breaker.check()
            return self.ledger.intend(job.key, job.price.to_row(), job.worst)
        except BaseException:
            self.budget.release(job.model, job.worst)
            raise

    def _close_failed(self, job: Job, intent: int, sent_s: float, error: CallError) -> None:
        if (error.status == 429 and error.kind == "retry") or error.timed_out:  # a slow server has too much at once
            self.limiter.on_throttle(sent_s)
        elif error.kind == "retry":
            self.limiter.on_failure()
        if may_be_billed(error):
            self.budget.mark_unknown(job.model, job.worst)
            return
        try:
            self.ledger.release(intent)
        except BaseException:
            self.budget.mark_unknown(job.model, job.worst)
            raise
        self.budget.release(job.model, job.worst)
