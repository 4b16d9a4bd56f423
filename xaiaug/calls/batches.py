"""Paid calls that may wait: sent in batches at half the price, found again by the next session."""

from __future__ import annotations

import json
import threading
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ..errors import CallError, CallsPausedError
from ..records import JSON, BatchClient, OpenBatch, OpenCall, RawReply
from .attempt import Answer, Attempts, Job
from .prices import Price
from .retry import may_be_billed, one_line

ROUNDS = 5  # so often a call is sent in a batch before it counts as failed
LONGEST_PAUSE_S = 60.0  # between two looks at a batch
MOST = 10_000  # calls in a batch; both services take more
Made = TypeVar("Made")
Failures = dict[str, CallError]


@dataclass
class Batches:
    """Sends jobs in batches and settles what comes back; threads may share it.

    The numbers of the intents, which are the names of the requests, are committed before anything is sent. A batch
    that an earlier session sent, or may have sent, is looked for before its calls are sent again.

    Args:
        attempts: ledger, budget and what else a call needs.
        wait: seconds until a request that failed is sent again, by attempt and error; raises what ends all calls.
    """

    attempts: Attempts
    wait: Callable[[int, CallError], float]
    _recovered: set[str] = field(default_factory=set)  # batches whose worst case is reserved in this session
    _ended: dict[str, Failures] = field(default_factory=dict)
    _locks: dict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answered(self, jobs: Sequence[Job], courier: BatchClient) -> Iterator[tuple[str, RawReply | CallError]]:
        """The reply to each job, or why it failed for good, as they come.

        Raises:
            CallsStoppedError: no call can go on now.
        """
        left, tried = {job.key: job for job in jobs}, Counter[str]()
        failures: Failures = {}
        while left:
            for key in list(left):
                made = self.attempts.ledger.reply(key) or self._final(key, failures, tried)
                if made is not None:
                    del left[key]
                    yield key, made
            failures = self._round(left, courier) if left else {}

    def _final(self, key: str, failures: Failures, tried: Counter[str]) -> CallError | None:
        error = failures.get(key)
        if error is None:
            return None
        tried[key] += 1
        self.attempts.halt.check()
        return error if error.kind != "retry" or tried[key] == ROUNDS else None

    def _round(self, left: Mapping[str, Job], courier: BatchClient) -> Failures:
        """Collects what is under way and sends the rest; what is not answered then failed, or was not sent yet."""
        batches = self._under_way(left)
        waiting = {call.key for batch in batches for call in batch.calls.values()}
        unsent = deque(job for key, job in left.items() if key not in waiting)
        while unsent:
            taken = self._taken(unsent, courier.largest, patient=not batches)
            if not taken:
                break  # the budget has room for them when others are settled
            batches.append(self._sent(taken, courier))
        failures: Failures = {}
        for batch in batches:
            failures |= self._collected(batch, courier)
        return failures

    def _under_way(self, left: Mapping[str, Job]) -> list[OpenBatch]:
        """Batches that hold one of these calls, from an earlier session or another thread."""
        with self._lock:
            found = [
                batch
                for batch in self.attempts.ledger.batches()
                if any(call.key in left for call in batch.calls.values())
            ]
            for batch in found:
                if batch.tag not in self._recovered:
                    self._recovered.add(batch.tag)
                    for call in batch.calls.values():
                        self.attempts.budget.recover(call.worst)
        return found

    def _taken(self, unsent: deque[Job], largest: int, *, patient: bool) -> list[tuple[Job, int]]:
        """As many jobs as the budget and one batch have room for, each with what is reserved for it."""
        taken: list[tuple[Job, int]] = []
        size = 0
        while unsent and len(taken) < MOST:
            job = unsent[0]
            size += len(json.dumps(job.request))
            if taken and size > largest:
                break
            # Only with nothing under way may it wait for others: else it might wait for itself.
            worst = self._reserved(job, patient=patient and not taken)
            if worst is None:
                break
            taken.append((unsent.popleft(), worst))
        return taken

    def _reserved(self, job: Job, *, patient: bool) -> int | None:
        if not job.worst:
            return 0
        return self.attempts.budget.reserve(job.worst) if patient else self.attempts.budget.take(job.worst)

    def _sent(self, taken: Sequence[tuple[Job, int]], courier: BatchClient) -> OpenBatch:
        tag = f"xaiaug-{uuid.uuid4().hex}"
        with self._locked(tag):
            return self._sent_as(tag, taken, courier)

    def _sent_as(self, tag: str, taken: Sequence[tuple[Job, int]], courier: BatchClient) -> OpenBatch:
        calls = [OpenCall(job.key, job.price.to_row(), worst) for job, worst in taken]
        with self._lock:
            self._recovered.add(tag)
        try:
            self.attempts.halt.check()
            intents = self.attempts.ledger.intend_batch(tag, calls)
        except BaseException:
            for call in calls:
                self.attempts.budget.release(call.worst)
            raise
        batch = OpenBatch(tag, None, dict(zip(intents, calls, strict=True)))
        requests = {f"{tag}-{intent}": job.request for intent, (job, _) in zip(intents, taken, strict=True)}
        return self._posted(batch, requests, courier)

    def _posted(self, batch: OpenBatch, requests: Mapping[str, Mapping[str, JSON]], courier: BatchClient) -> OpenBatch:
        """The batch with its name; without one where it is not known whether the service took it."""
        attempt = 1
        while True:
            try:
                name = courier.post(batch.tag, requests)
                break
            except CallError as error:
                if error.kind == "retry" and may_be_billed(error):
                    self.attempts.halt.sleep(self.wait(attempt, error))
                    return batch
                if error.kind == "item" or attempt == ROUNDS:
                    self._ended[batch.tag] = self._turned_down(batch.calls, error)
                    return batch
                self._again(batch, attempt, error)
            attempt += 1
        self.attempts.ledger.posted(batch.tag, name)
        return OpenBatch(batch.tag, name, batch.calls)

    def _again(self, batch: OpenBatch, attempt: int, error: CallError) -> None:
        """Waits until a batch can be sent again; one that never will be is no longer open."""
        try:
            self.attempts.halt.sleep(self.wait(attempt, error))
        except BaseException:
            self._turned_down(batch.calls, error)
            raise

    def _collected(self, batch: OpenBatch, courier: BatchClient) -> Failures:
        """Settles all of a batch that is answered; what became of the rest, by key."""
        with self._locked(batch.tag):
            if batch.tag not in self._ended:
                # Another thread may have sent it meanwhile.
                named = next((one for one in self.attempts.ledger.batches() if one.tag == batch.tag), batch)
                self._ended[batch.tag] = self._fetched(named, courier)
            return self._ended[batch.tag]

    def _locked(self, tag: str) -> threading.Lock:
        """One thread at a time sends or collects a batch."""
        with self._lock:
            return self._locks[tag]

    def _fetched(self, batch: OpenBatch, courier: BatchClient) -> Failures:
        names = [batch.name] if batch.name else self._asked(lambda: courier.find(batch.tag, len(batch.calls)))
        for name in names:
            try:
                self._awaited(name, courier)
                results = self._asked(lambda name=name: list(courier.results(name)))  # type: ignore[misc]
            except CallError as error:  # the service does not know it, or not any more
                if batch.name:
                    return self._lost(batch, error)
                continue
            found = self._settled(batch, results)
            if found is not None:
                self._forgotten(name, courier)
                return found
        nobody = CallError("retry", "the service has no such batch", reached=False)
        return self._lost(batch, nobody) if batch.name else self._turned_down(batch.calls, nobody)

    def _settled(self, batch: OpenBatch, results: Sequence[tuple[str, RawReply | CallError]]) -> Failures | None:
        """What did not succeed; None when the results are of another batch."""
        ours = {custom.rpartition("-")[2]: result for custom, result in results if custom.startswith(f"{batch.tag}-")}
        whole = next((result for custom, result in results if not custom and isinstance(result, CallError)), None)
        if not ours and (batch.name is None or whole is None):
            return None
        failures: Failures = {}
        untold = whole or CallError("retry", "the batch ended without a result for this request")
        for intent, call in batch.calls.items():
            result = ours.get(str(intent), untold)
            if isinstance(result, RawReply):
                self._settle(intent, call, result)
            elif result is untold and whole is None:
                self.attempts.budget.lose(call.worst)  # it may have been billed
                failures[call.key] = result
            else:
                failures |= self._turned_down({intent: call}, result)
        self.attempts.ledger.lose_batch(batch.tag)
        return failures

    def _settle(self, intent: int, call: OpenCall, reply: RawReply) -> None:
        price = Price.from_row(call.price)
        job = Job(call.key, {}, alone, price, call.worst)
        self.attempts.settle(job, Answer(intent, call.worst, reply))

    def _turned_down(self, calls: Mapping[int, OpenCall], error: CallError) -> Failures:
        """The service did none of these: they cost nothing."""
        for intent, call in calls.items():
            self.attempts.ledger.release(intent)
            self.attempts.budget.release(call.worst)
        return {call.key: error for call in calls.values()}

    def _lost(self, batch: OpenBatch, error: CallError) -> Failures:
        """Nobody will ever tell what became of a batch: it may have been billed."""
        for call in batch.calls.values():
            self.attempts.budget.lose(call.worst)
        self.attempts.ledger.lose_batch(batch.tag)
        return {call.key: CallError("retry", error.message) for call in batch.calls.values()}

    def _awaited(self, name: str, courier: BatchClient) -> None:
        """Looks at a batch until it ends, ever less often."""
        pause = 1.0
        while not self._asked(lambda: courier.ended(name)):
            self.attempts.halt.sleep(pause)
            pause = min(LONGEST_PAUSE_S, pause * 1.5)

    def _asked(self, ask: Callable[[], Made]) -> Made:
        """What the service says of a batch; a service that cannot be reached keeps it.

        Raises:
            CallError: it says that there is none.
            CallsPausedError: it says nothing.
        """
        attempt = 1
        while True:
            self.attempts.halt.check()
            try:
                return ask()
            except CallError as error:
                if error.kind == "item" or error.status == 404:
                    raise
                if attempt == ROUNDS:
                    raise CallsPausedError(
                        f"a batch is under way, and the service does not tell of it ({one_line(error.message)}); "
                        "run the same command to go on"
                    ) from None
                self.attempts.halt.sleep(self.wait(attempt, error))
            attempt += 1

    def _forgotten(self, name: str, courier: BatchClient) -> None:
        try:
            courier.forget(name)
        except CallError:
            return  # the service deletes it by itself, only later


def alone(_: Mapping[str, JSON]) -> RawReply:
    """Stands where a call of a batch would be sent by itself."""
    raise CallError("item", "a call of a batch is not sent alone")
