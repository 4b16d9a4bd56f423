"""Batched calls: sent together at half the price, and collected by the next session if this one ends first."""

from __future__ import annotations

import json
import threading
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ..errors import CallError, CallsPausedError
from ..records import JSON, BatchClient, OpenBatch, OpenCall, RawReply
from .attempt import Answer, CallSender, Job
from .prices import Price
from .retry import may_be_billed, redact

ROUNDS = 5  # times a call is sent in a batch before it counts as failed
LONGEST_PAUSE_S = 60.0  # between two polls of a batch
LARGEST = 10_000  # calls in a batch; both services take more
Response = TypeVar("Response")
Failures = dict[str, CallError]


@dataclass
class _Results:
    """What has arrived of a batch.

    Attributes:
        found: whether any result is of this batch, and not of one that was taken for it.
        settled: intents whose replies are committed.
        errors: of single requests, by intent.
        of_all: the error of all requests without a result of their own.
    """

    found: bool = False
    settled: set[int] = field(default_factory=set)
    errors: dict[int, CallError] = field(default_factory=dict)
    of_all: CallError | None = None


@dataclass
class Batches:
    """Sends jobs in batches and settles the results; threads may share it.

    The intents, whose numbers name the requests, are committed before anything is sent. A batch that an earlier
    session sent, or may have sent, is looked up before its calls are sent again.

    Args:
        sender: ledger, budget and whatever else a call needs.
        wait: seconds until a failed request is sent again, by attempt and error; raises what ends all calls.
    """

    sender: CallSender
    wait: Callable[[int, CallError], float]
    _reopened: set[str] = field(default_factory=set)  # batches whose worst case is reserved in this session
    _finished: dict[str, Failures] = field(default_factory=dict)
    _results: dict[str, _Results] = field(default_factory=lambda: defaultdict(_Results))
    _locks: dict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def replies(self, jobs: Sequence[Job], batch_client: BatchClient) -> Iterator[tuple[str, RawReply | CallError]]:
        """The reply to each job, or its final error, in the order of arrival.

        Raises:
            CallsStoppedError: no call can be made now.
        """
        left, failed = {job.key: job for job in jobs}, Counter[str]()
        failures: Failures = {}
        while left:
            for key in list(left):
                reply = self.sender.ledger.reply(key) or self._final_error(key, failures, failed)
                if reply is not None:
                    del left[key]
                    yield key, reply
            failures = self._run_round(left, batch_client) if left else {}

    def _final_error(self, key: str, failures: Failures, failed: Counter[str]) -> CallError | None:
        error = failures.get(key)
        if error is None:
            return None
        failed[key] += 1
        self.sender.breaker.check()
        return error if error.kind != "retry" or failed[key] == ROUNDS else None

    def _run_round(self, left: Mapping[str, Job], batch_client: BatchClient) -> Failures:
        """Sends what is not under way, and collects all batches; jobs without a reply then failed or are unsent."""
        batches = self._open_batches(left)
        waiting = {call.key for batch in batches for call in batch.calls.values()}
        unsent = deque(job for key, job in left.items() if key not in waiting)
        while unsent:
            jobs = self._reserve_batch(unsent, batch_client.largest, patient=not batches)
            if not jobs:
                break  # the budget has room for them once others are settled
            batches.append(self._send(jobs, batch_client))
        failures: Failures = {}
        for batch in batches:
            failures |= self._collect(batch, batch_client)
        return failures

    def _open_batches(self, left: Mapping[str, Job]) -> list[OpenBatch]:
        """Batches with any of these calls, from an earlier session or another thread."""
        with self._lock:
            batches = [
                batch
                for batch in self.sender.ledger.open_batches()
                if any(call.key in left for call in batch.calls.values())
            ]
            for batch in batches:
                if batch.tag not in self._reopened:
                    self._reopened.add(batch.tag)
                    for call in batch.calls.values():
                        self.sender.budget.reopen(_model_of(call), call.worst)
        return batches

    # Sending

    def _reserve_batch(self, unsent: deque[Job], largest: int, *, patient: bool) -> list[Job]:
        """Takes as many jobs as fit the budget and one batch."""
        reserved: list[Job] = []
        size = 0
        while unsent and len(reserved) < LARGEST:
            job = unsent[0]
            size += len(json.dumps(job.request))
            if reserved and size > largest:
                break
            # It may wait for other calls only if none is under way here: else it might wait for itself.
            if not self._reserve(job, patient=patient and not reserved):
                break
            reserved.append(unsent.popleft())
        return reserved

    def _reserve(self, job: Job, *, patient: bool) -> bool:
        if job.worst and patient:
            self.sender.budget.reserve(job.model, job.worst)
            return True
        return not job.worst or self.sender.budget.try_reserve(job.model, job.worst)

    def _send(self, jobs: Sequence[Job], batch_client: BatchClient) -> OpenBatch:
        tag = f"xaiaug-{uuid.uuid4().hex}"
        with self._lock_of(tag):
            batch = self._commit_intents(tag, jobs)
            requests = {f"{tag}-{intent}": job.request for intent, job in zip(batch.calls, jobs, strict=True)}
            return self._post(batch, requests, batch_client)

    def _commit_intents(self, tag: str, jobs: Sequence[Job]) -> OpenBatch:
        calls = [OpenCall(job.key, job.price.to_row(), job.worst) for job in jobs]
        with self._lock:
            self._reopened.add(tag)
        try:
            self.sender.breaker.check()
            intents = self.sender.ledger.intend_batch(tag, calls)
        except BaseException:
            for call in calls:
                self.sender.budget.release(_model_of(call), call.worst)
            raise
        return OpenBatch(tag, None, dict(zip(intents, calls, strict=True)))

    def _post(
        self, batch: OpenBatch, requests: Mapping[str, Mapping[str, JSON]], batch_client: BatchClient
    ) -> OpenBatch:
        """The batch with its name; without a name if the service may or may not have taken it."""
        attempt = 1
        while True:
            try:
                name = batch_client.post(batch.tag, requests)
                break
            except CallError as error:
                if error.kind == "retry" and may_be_billed(error):
                    self.sender.breaker.sleep(self.wait(attempt, error))
                    return batch
                if error.kind == "item" or attempt == ROUNDS:
                    self._finished[batch.tag] = self._release(batch.calls, error)
                    return batch
                self._wait_to_post(batch, attempt, error)
            attempt += 1
        self.sender.ledger.name_batch(batch.tag, name)
        return OpenBatch(batch.tag, name, batch.calls)

    def _wait_to_post(self, batch: OpenBatch, attempt: int, error: CallError) -> None:
        """Waits until a batch can be sent again; releases its calls if it never will be."""
        try:
            self.sender.breaker.sleep(self.wait(attempt, error))
        except BaseException:
            self._release(batch.calls, error)
            raise

    # Collecting

    def _collect(self, batch: OpenBatch, batch_client: BatchClient) -> Failures:
        """Settles the replies of a batch; returns the errors of its other calls, by key."""
        with self._lock_of(batch.tag):
            if batch.tag not in self._finished:
                # Another thread may have sent it meanwhile.
                newest = next((one for one in self.sender.ledger.open_batches() if one.tag == batch.tag), batch)
                self._finished[batch.tag] = self._fetch(newest, batch_client)
            return self._finished[batch.tag]

    def _lock_of(self, tag: str) -> threading.Lock:
        """Held by the thread that sends or collects a batch."""
        with self._lock:
            return self._locks[tag]

    def _fetch(self, batch: OpenBatch, batch_client: BatchClient) -> Failures:
        names = [batch.name] if batch.name else self._ask(lambda: batch_client.find(batch.tag, len(batch.calls)))
        results = self._results[batch.tag]
        for name in names:
            try:
                self._await_end(name, batch_client)
                self._ask(lambda name=name: self._receive(batch, batch_client.results(name), results))  # type: ignore[misc]
            except CallError as error:  # the service does not know the batch, or no longer
                if batch.name or results.found:
                    return self._abandon(batch, error)
                continue
            if results.found or (batch.name and results.of_all):
                self._forget(name, batch_client)
                return self._close(batch, results)
        missing = CallError("retry", "the service has no such batch", reached=False)
        return self._abandon(batch, missing) if batch.name else self._release(batch.calls, missing)

    def _await_end(self, name: str, batch_client: BatchClient) -> None:
        """Polls a batch until it ends, less and less often."""
        pause = 1.0
        while not self._ask(lambda: batch_client.is_done(name)):
            self.sender.breaker.sleep(pause)
            pause = min(LONGEST_PAUSE_S, pause * 1.5)

    def _ask(self, ask: Callable[[], Response]) -> Response:
        """The service's response about a batch; a service that cannot be reached still has the batch.

        Raises:
            CallError: the service has no such batch.
            CallsPausedError: the service does not respond.
        """
        attempt = 1
        while True:
            self.sender.breaker.check()
            try:
                return ask()
            except CallError as error:
                if error.kind == "item" or error.status == 404:
                    raise
                if attempt == ROUNDS:
                    raise CallsPausedError(
                        f"a batch is under way, and the service does not report on it ({redact(error.message)}); "
                        "rerun the same command to resume"
                    ) from None
                self.sender.breaker.sleep(self.wait(attempt, error))
            attempt += 1

    def _receive(
        self, batch: OpenBatch, arriving: Iterable[tuple[str, RawReply | CallError]], results: _Results
    ) -> None:
        """Settles each reply as it arrives: what it cost is in ledger and budget before the next one is read."""
        ours = {f"{batch.tag}-{intent}": intent for intent in batch.calls}
        for name, result in arriving:
            results.found |= name.startswith(f"{batch.tag}-")
            if isinstance(result, CallError):
                if name in ours:
                    results.errors[ours[name]] = result
                elif not name:
                    results.of_all = results.of_all or result
            elif name in ours and ours[name] not in results.settled:
                self._settle_reply(ours[name], batch.calls[ours[name]], result)
                results.settled.add(ours[name])

    def _close(self, batch: OpenBatch, results: _Results) -> Failures:
        """Closes a batch whose results have all arrived; returns the errors of its other calls, by key."""
        failures: Failures = {}
        missing = CallError("retry", "the batch ended without a result for this request")
        for intent, call in self._unsettled(batch).items():
            error = results.errors.get(intent) or results.of_all
            if error is None:
                self.sender.budget.mark_unknown(_model_of(call), call.worst)  # it may have been billed
                failures[call.key] = missing
            else:
                failures |= self._release({intent: call}, error)
        self.sender.ledger.abandon_batch(batch.tag)
        return failures

    def _unsettled(self, batch: OpenBatch) -> dict[int, OpenCall]:
        settled = self._results[batch.tag].settled
        return {intent: call for intent, call in batch.calls.items() if intent not in settled}

    def _settle_reply(self, intent: int, call: OpenCall, reply: RawReply) -> None:
        price = Price.from_row(call.price)
        job = Job(call.key, {}, send_alone, price, call.worst)
        self.sender.settle(job, Answer(intent, reply))

    def _release(self, calls: Mapping[int, OpenCall], error: CallError) -> Failures:
        """Releases calls that the service did not carry out: they cost nothing."""
        for intent, call in calls.items():
            self.sender.ledger.release(intent)
            self.sender.budget.release(_model_of(call), call.worst)
        return {call.key: error for call in calls.values()}

    def _abandon(self, batch: OpenBatch, error: CallError) -> Failures:
        """Gives up a batch whose outcome the service can no longer report: it may have been billed."""
        calls = self._unsettled(batch).values()
        for call in calls:
            self.sender.budget.mark_unknown(_model_of(call), call.worst)
        self.sender.ledger.abandon_batch(batch.tag)
        return {call.key: CallError("retry", error.message) for call in calls}

    def _forget(self, name: str, batch_client: BatchClient) -> None:
        try:
            batch_client.forget(name)
        except CallError:
            return  # the service deletes it by itself, only later


def _model_of(call: OpenCall) -> str:
    return str(call.price["model"])


def send_alone(_: Mapping[str, JSON]) -> RawReply:
    """Raises CallError: the `send` of a job that is sent in batches only."""
    raise CallError("item", "a call of a batch is not sent alone")
