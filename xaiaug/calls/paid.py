"""Paid calls: each reserves its worst case, commits the intent, is sent, and has its reply committed."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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
from .attempt import Answer, CallSender, Job, Send
from .batches import Batches, send_alone
from .budget import Budget, budget_to_picodollars, cost_to_picodollars, picodollars_to_usd
from .circuit_breaker import FIRST, WINDOW, CircuitBreaker, Clock, FailureWindow, OutageDetector
from .concurrency import CallLimiter, ConcurrencyLimit, FirstCalls
from .ledger import Ledger
from .prices import Prices
from .retry import lacks_credit, may_be_billed, redact, refusal_message

ATTEMPTS = 10
BILLED_ATTEMPTS = 4  # of which so many may be billed without a reply
TIMED_OUT_ATTEMPTS = 3  # and so many may time out: a slow server is no faster the next time
LONGEST_BACKOFF_S = 60
LONGEST_WAIT_S = 600


class Calls:
    """Calls paid services for plugins under one budget; satisfies `PaidCalls`, and threads may share it.

    Make one per run: two on one ledger would each spend the full budget.

    Args:
        ledger: keeps every intent and reply.
        budget_usd: most the run may spend, earlier sessions included; None allows local models only.
        prices: what models cost.
        limit: how many calls may be in flight.
        clock: the time.
        jitter: randomizes the waits before retries.

    Raises:
        ConfigError: the budget is not an amount of money.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        budget_usd: float | None,
        prices: Prices | None = None,
        limit: ConcurrencyLimit | None = None,
        clock: Clock | None = None,
        jitter: random.Random | None = None,
    ) -> None:
        self._ledger, self._prices = ledger, prices or Prices()
        clock = clock or Clock()
        self._breaker = CircuitBreaker(clock)
        self._limiter = CallLimiter(limit or ConcurrencyLimit(), self._breaker, clock)
        self._has_budget = budget_usd is not None
        spent = ledger.spending()
        self._budget = Budget(budget_to_picodollars(budget_usd or 0), spent, self._breaker)
        self._jitter = jitter or random.Random()
        first_calls = FirstCalls(self._breaker)
        self._sender = CallSender(ledger, self._budget, self._limiter, first_calls, self._breaker, clock)
        self._failures = FailureWindow()
        self._outage = OutageDetector(clock)
        self._batches = Batches(self._sender, self._retry_delay)

    def call(self, key: str, request: Mapping[str, JSON], *, worst_case_usd: float, send: Send) -> RawReply:
        """The reply to a request: recorded under its key before it is parsed, and never paid for twice.

        Args:
            key: equal for calls with interchangeable replies.
            request: the body to send; its "model" names the price.
            worst_case_usd: maximum cost, above 0 (see `worst_case_usd`); may be 0 for a local model.
            send: sends the request once, without retries and with a time-out of its own. Returns every reply that
                reports its usage, including refusals and truncated ones; raises CallError for the rest. An OSError
                counts as a network failure; any other exception is a bug in `send` and is passed on.

        Raises:
            CallError: the call failed for good: kind "item" or "refusal", or "retry" after ten attempts (three that
                timed out, or four that may be billed).
            CallsStoppedError: no call can be made now, or the service billed more than the worst case and so more
                than the budget; the message says what to do, and the reply is kept.
            UnknownPriceError: the price of the model is not known.
            ConfigError: there is no budget, or the worst case is not an amount.
        """
        with self._limiter.lock_key(key):
            reply = self._ledger.reply(key)
            if reply is None:
                job = self._job(key, request, worst_case_usd, send)
                with self._limiter.take_slot():
                    answer = self._send_with_retries(job)
                reply = self._sender.settle(job, answer)  # outside the slot: the next call may be sent meanwhile
                if job.worst:
                    self._budget.check()
            self._record(key, failed=False)
            return reply

    def batch(self, calls: Sequence[BatchedCall], batch_client: BatchClient) -> list[RawReply | CallError]:
        """The reply to each request, or its final error: sent in batches, at half the price, within a day.

        Replies are shared with `call`, by key. A batch of an earlier session is looked up before its calls are sent
        again; a request that fails or expires is sent again under the same budget.

        Args:
            calls: those with equal keys are sent once.
            batch_client: carries batches to the service.

        Raises:
            CallsStoppedError: no call can be made now; the next session collects the batches under way.
            UnknownPriceError: the price of the model is not known.
            ConfigError: there is no budget, or a worst case is not an amount.
        """
        before = self._budget.settled
        jobs = {call.key: self._batch_job(call) for call in calls}
        replies: dict[str, RawReply | CallError] = {}
        for key, reply in self._batches.replies(list(jobs.values()), batch_client):
            failed = isinstance(reply, CallError)
            if isinstance(reply, CallError) and reply.kind == "fatal":
                self._stop_all(CallsRefusedError(refusal_message(reply)))
            if isinstance(reply, CallError) and reply.kind == "refusal":
                replies[key] = reply
                continue
            self._record(key, failed=failed, reason=reply.message if isinstance(reply, CallError) else "")
            replies[key] = reply
        if self._budget.settled > before:
            self._budget.check()
        return [replies[call.key] for call in calls]

    def worst_case_usd(self, model: str, usage: Mapping[str, int]) -> float:
        """The maximum cost of a call with that usage, in dollars.

        Args:
            model: as in the request.
            usage: upper bounds such as {"input_tokens": 4000, "output_tokens": 1024}.

        Raises:
            UnknownPriceError: the price of the model is not known.
        """
        return picodollars_to_usd(self._prices.of(model).cost(usage))

    def reject(self, key: str, reason: str) -> None:
        """Counts the reply under that key as a failed item: a refusal, cut off, or not of the schema.

        Raises:
            CallsFailingError: too many of the last items failed.
        """
        self._record(key, failed=True, reason=reason)

    def stop(self, error: XaiaugError) -> None:
        """Sends nothing from now on: waiting calls raise `error`; those in flight finish and are recorded."""
        self._breaker.trip(error)

    def summary(self) -> dict[str, JSON]:
        """The spending so far, JSON-plain: amounts in dollars, counts of calls, and the dated prices.

        "reserved_usd" is the worst case of calls in flight; "unknown_usd" that of calls sent without a reply (cut off
        or killed in flight) and of replies whose usage the service did not report ("unreported"): it may have billed
        anything up to it. "overruns" lists the models that were billed more than the worst case of a call.
        """
        spent = self._ledger.spending()
        reserved = min(self._budget.reserved, spent.open)
        return {
            "budget_usd": picodollars_to_usd(self._budget.budget) if self._has_budget else None,
            "settled_usd": picodollars_to_usd(spent.settled - spent.assumed),
            "reserved_usd": picodollars_to_usd(reserved),
            "unknown_usd": picodollars_to_usd(spent.open - reserved + spent.assumed),
            "calls": spent.replies,
            "unreported": spent.unreported,
            "unanswered": spent.unanswered,
            "unbilled": spent.unbilled,
            "over_budget_usd": picodollars_to_usd(max(0, spent.settled - self._budget.budget)),
            "overruns": [
                {"model": one.model, "over_usd": picodollars_to_usd(one.over), "ratio": float(one.ratio)}
                for one in spent.models
                if one.over
            ],
            "prices": list(spent.prices),
        }

    def _batch_job(self, call: BatchedCall) -> Job:
        job = self._job(call.key, call.request, call.worst_case_usd, send_alone)
        return replace(job, price=job.price.half(), worst=-(-job.worst // 2))

    def _job(self, key: str, request: Mapping[str, JSON], worst_case_usd: float, send: Send) -> Job:
        model = request.get("model")
        if not isinstance(model, str):
            raise UnknownPriceError(f"the request {key!r} must name its model, to look up its price; got {model!r}")
        price = self._prices.of(model)
        if price.free:
            return Job(key, request, send, price, 0)
        if not self._has_budget:
            raise ConfigError(f"calls of {model!r} cost money: set budget_usd, the most the run may spend")
        worst = cost_to_picodollars(worst_case_usd)
        if worst == 0:
            raise ConfigError(f"calls of {model!r} cost money: worst_case_usd must be above 0, got {worst_case_usd}")
        return Job(key, request, send, price, worst)

    def _send_with_retries(self, job: Job) -> Answer:
        tries = _Tries()
        while True:
            try:
                answer = self._sender.send(job)
            except CallError as error:
                self._watch_outage(error)
                if tries.are_over(error):
                    self._give_up(job.key, error)
                    raise
                delay = self._retry_delay(tries.count, error)
            else:
                self._outage.on_answer()
                return answer
            self._breaker.sleep(delay)

    def _watch_outage(self, error: CallError) -> None:
        """Stops all calls once the service answers none."""
        if error.kind != "retry":
            self._outage.on_answer()
        elif self._outage.on_failure(error, self._limiter.in_flight):
            self._stop_all(
                CallsFailingError(
                    f"the service answered none of the last {self._outage.failed} attempts, the last with: "
                    f"{redact(error.message)}; fix that and rerun the same command to resume"
                )
            )

    def _give_up(self, key: str, error: CallError) -> None:
        if error.kind == "refusal":
            return  # of a filter: the service is there, and the caller may ask another
        if error.status == 429 and lacks_credit(error.message):  # it states a wait, again and again
            self._stop_all(CallsRefusedError(refusal_message(error)))
        self._record(key, failed=True, reason=error.message)

    def _retry_delay(self, attempt: int, error: CallError) -> float:
        """Seconds until the next attempt; raises if no call can be made any more."""
        if error.kind == "fatal":
            self._stop_all(CallsRefusedError(refusal_message(error)))
        requested = error.retry_after_s
        if requested is None:
            return self._jitter.uniform(0, min(LONGEST_BACKOFF_S, 2.0 ** (attempt - 1)))
        if requested > LONGEST_WAIT_S:
            self._stop_all(
                CallsPausedError(
                    f"the service asks to wait {requested / 60:.0f} minutes ({redact(error.message)}); "
                    "rerun the same command then to resume"
                )
            )
        return requested + self._jitter.uniform(0, 1)

    def _record(self, key: str, *, failed: bool, reason: str = "") -> None:
        self._failures.record(key, failed=failed)
        if failed and self._failures.too_many:
            self._stop_all(
                CallsFailingError(
                    f"{self._failed_items()} failed, the last with: {redact(reason)}; "
                    "fix that and rerun the same command to resume"
                )
            )

    def _failed_items(self) -> str:
        if self._failures.all_first:
            return f"all of the first {FIRST} items"
        return f"{self._failures.failures} of the last {WINDOW} items"

    def _stop_all(self, error: XaiaugError) -> None:
        self._breaker.trip(error)
        self._breaker.check()


@dataclass
class _Tries:
    """The attempts of one call that failed."""

    count: int = 0
    billed: int = 0
    timed_out: int = 0

    def are_over(self, error: CallError) -> bool:
        """Counts a failed attempt; returns whether it was the last one."""
        self.count += 1
        self.billed += may_be_billed(error)
        self.timed_out += error.timed_out
        return (
            error.kind in ("item", "refusal")
            or self.count >= ATTEMPTS
            or self.billed >= BILLED_ATTEMPTS
            or self.timed_out >= TIMED_OUT_ATTEMPTS
        )
