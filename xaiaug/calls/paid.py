"""Paid calls: reserve the worst case, commit the intent, send, commit the reply, return it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..errors import (
    CallError,
    CallsFailingError,
    CallsPausedError,
    CallsRefusedError,
    ConfigError,
    UnknownPriceError,
    XaiaugError,
)
from ..records import JSON, BatchClient, BatchedCall, RawReply
from . import budget
from .attempt import Answer, Attempts, Job, Send
from .batches import Batches, alone
from .budget import Budget
from .circuit_breaker import LAST, CircuitBreaker, Clock, FailureShare
from .concurrency import CallGate, CallLimiter
from .ledger import Ledger
from .prices import Prices
from .retry import advice, one_line

ATTEMPTS = 10
LONGEST_BACKOFF_S = 60
LONGEST_WAIT_S = 600


class Calls:
    """Lets plugins call paid services under one budget; satisfies `PaidCalls`, and threads may share it.

    Two of these on one ledger would each spend the whole budget: make one a run.

    Args:
        ledger: keeps every intent and reply.
        budget_usd: most the whole run may spend, earlier sessions included; None refuses every model but local ones.
        prices: what models cost.
        limit: how many calls may be in flight.
        clock: the time, and waiting for it.
        jitter: draws the waits before calls are sent again.

    Raises:
        ConfigError: the budget is no amount of money.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        budget_usd: float | None,
        prices: Prices | None = None,
        limit: CallLimiter | None = None,
        clock: Clock | None = None,
        jitter: random.Random | None = None,
    ) -> None:
        self._ledger, self._prices = ledger, prices or Prices()
        clock = clock or Clock()
        self._halt = CircuitBreaker(clock)
        self._gate = CallGate(limit or CallLimiter(), self._halt, clock)
        self._budgeted = budget_usd is not None
        self._budget = Budget(budget.budget_picodollars(budget_usd or 0), ledger.spending(), self._halt)
        self._jitter = jitter or random.Random()
        self._attempts = Attempts(ledger, self._budget, self._gate, self._halt, clock)
        self._share = FailureShare()
        self._batches = Batches(self._attempts, self._delay)

    def call(self, key: str, request: Mapping[str, JSON], *, worst_case_usd: float, send: Send) -> RawReply:
        """The reply to a request: recorded under its key before anybody parses it, and never paid for twice.

        Args:
            key: equal for calls whose replies may stand for each other.
            request: what is sent; its "model" names the price.
            worst_case_usd: most it can cost, above 0 (see `worst_case_usd`); 0 will do for a local model.
            send: sends it once, without retries of its own, and gives up after a time-out of its own. Returns every
                reply that has a usage, refusals and cut ones included; raises CallError for the rest. An OSError
                counts as a failure of the network; anything else is a fault of the sender and is passed on.

        Raises:
            CallError: this call failed for good: kind "item", or "retry" when it failed ten times.
            CallsStoppedError: no call can go on now; the message says what to do.
            UnknownPriceError: nobody knows what the model costs.
            ConfigError: there is no budget, or the worst case is no amount.
        """
        with self._gate.alone(key):
            reply = self._ledger.reply(key)
            if reply is None:
                job = self._job(key, request, worst_case_usd, send)
                with self._gate.place():
                    answer = self._answer(job)
                reply = self._attempts.settle(job, answer)  # the next call may be sent meanwhile
            self._count(key, failed=False)
            return reply

    def batch(self, calls: Sequence[BatchedCall], courier: BatchClient) -> list[RawReply | CallError]:
        """The reply to each request, or why it failed for good: sent in batches, at half the price, within a day.

        Recorded as by `call`, so that either finds the other's replies. What an earlier session sent is looked for
        before it is sent again; a request that fails or expires is sent again under the same budget.

        Args:
            calls: what is asked; those with equal keys are sent once.
            courier: carries them.

        Raises:
            CallsStoppedError: no call can go on now; batches under way are found by the next session.
            UnknownPriceError: nobody knows what the model costs.
            ConfigError: there is no budget, or a worst case is no amount.
        """
        jobs = {call.key: self._batched(call) for call in calls}
        made: dict[str, RawReply | CallError] = {}
        for key, reply in self._batches.answered(list(jobs.values()), courier):
            failed = isinstance(reply, CallError)
            if isinstance(reply, CallError) and reply.kind == "fatal":
                self._end(CallsRefusedError(advice(reply)))
            self._count(key, failed=failed, reason=reply.message if isinstance(reply, CallError) else "")
            made[key] = reply
        return [made[call.key] for call in calls]

    def worst_case_usd(self, model: str, usage: Mapping[str, int]) -> float:
        """Most that a call with that usage can cost, in dollars.

        Args:
            model: as the request names it.
            usage: the most it can use, such as {"input_tokens": 4000, "output_tokens": 1024}.

        Raises:
            UnknownPriceError: nobody knows what the model costs.
        """
        return budget.dollars(self._prices.of(model).cost(usage))

    def reject(self, key: str, reason: str) -> None:
        """The reply under that key is of no use (a refusal, cut off, a bad schema): counts as a failed item.

        Raises:
            CallsFailingError: too many of the last items failed.
        """
        self._count(key, failed=True, reason=reason)

    def stop(self, error: XaiaugError) -> None:
        """Sends nothing from now on: calls that wait raise `error`; those in flight end and are recorded."""
        self._halt.stop(error)

    def summary(self) -> dict[str, JSON]:
        """What was spent, JSON-plain: amounts in dollars, counts of calls, and the dated prices.

        "reserved_usd" is the worst case of calls in flight; "unknown_usd" that of calls that were sent and have no
        reply (cut off, or killed in flight): the service may have billed anything up to it.
        """
        spent = self._ledger.spending()
        reserved = min(self._budget.reserved, spent.open)
        return {
            "budget_usd": budget.dollars(self._budget.budget) if self._budgeted else None,
            "settled_usd": budget.dollars(spent.settled),
            "reserved_usd": budget.dollars(reserved),
            "unknown_usd": budget.dollars(spent.open - reserved),
            "calls": spent.replies,
            "unanswered": spent.unanswered,
            "unbilled": spent.unbilled,
            "prices": list(spent.prices),
        }

    def _batched(self, call: BatchedCall) -> Job:
        job = self._job(call.key, call.request, call.worst_case_usd, alone)
        return replace(job, price=job.price.halved(), worst=-(-job.worst // 2))

    def _job(self, key: str, request: Mapping[str, JSON], worst_case_usd: float, send: Send) -> Job:
        model = request.get("model")
        if not isinstance(model, str):
            raise UnknownPriceError(f"the request {key!r} must name its model, whose price is needed; got {model!r}")
        price = self._prices.of(model)
        if price.free:
            return Job(key, request, send, price, 0)
        if not self._budgeted:
            raise ConfigError(f"calls of {model!r} cost money: set budget_usd, the most the run may spend")
        worst = budget.cost_picodollars(worst_case_usd)
        if worst == 0:
            raise ConfigError(f"calls of {model!r} cost money: worst_case_usd must be above 0, got {worst_case_usd}")
        return Job(key, request, send, price, worst)

    def _answer(self, job: Job) -> Answer:
        attempt = 1
        while True:
            try:
                return self._attempts.send(job)
            except CallError as error:
                wait = self._after(job, attempt, error)
            self._halt.sleep(wait)
            attempt += 1

    def _after(self, job: Job, attempt: int, error: CallError) -> float:
        if error.kind == "item" or attempt == ATTEMPTS:
            self._count(job.key, failed=True, reason=error.message)
            raise error
        return self._delay(attempt, error)

    def _delay(self, attempt: int, error: CallError) -> float:
        """Seconds until it is sent again; raises what ends all calls."""
        if error.kind == "fatal":
            self._end(CallsRefusedError(advice(error)))
        asked = error.retry_after_s
        if asked is None:
            return self._jitter.uniform(0, min(LONGEST_BACKOFF_S, 2.0 ** (attempt - 1)))
        if asked > LONGEST_WAIT_S:
            self._end(
                CallsPausedError(
                    f"the service asks to wait {asked / 60:.0f} minutes ({one_line(error.message)}); "
                    "run the same command then to go on"
                )
            )
        return asked + self._jitter.uniform(0, 1)

    def _count(self, key: str, *, failed: bool, reason: str = "") -> None:
        self._share.count(key, failed=failed)
        if failed and self._share.too_many:
            self._end(
                CallsFailingError(
                    f"{self._share.failed} of the last {LAST} items failed, the last with: {one_line(reason)}; "
                    "mend that and run the same command to go on"
                )
            )

    def _end(self, error: XaiaugError) -> None:
        self._halt.stop(error)
        self._halt.check()
