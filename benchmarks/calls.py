"""How fast paid calls go through: beside the ideal, beside a limit of the service, and beside a plain loop.

    python benchmarks/calls.py [--quick] [--json FILE]

The service is a function in this process that sleeps and counts; the ledger is that of a run folder on disk, so each
call commits its intent, its raw reply and its cost. The plain loop sends one call after another and records nothing;
it is measured on a sample, and the time of all calls is extrapolated from that.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reporting import machine, write_json

from xaiaug.calls import CallError, Calls, ConcurrencyLimit, Prices, RawReply, imap_unordered
from xaiaug.store import CallLedger, Store

LATENCY_S = 0.5
IN_FLIGHT = 32
RATE = 20
SPARE = 8  # threads that commit while others wait for the service
SAMPLE = 20
PRICES = {"measured": {"input_usd_per_mtok": 3, "output_usd_per_mtok": 15}}
REPLY = RawReply({"text": "word " * 200}, {"input_tokens": 1500, "output_tokens": 250})


class Service:
    """Answers after a while, and says 429 when more than so many requests came within the last second."""

    def __init__(self, latency_s: float, rate: int | None = None) -> None:
        self.latency_s, self.rate = latency_s, rate
        self.requests = self.refused = 0
        self._admitted: deque[float] = deque()
        self._lock = threading.Lock()

    def __call__(self, _: Mapping[str, Any]) -> RawReply:
        """The reply to any request."""
        if not self._admit():
            raise CallError("retry", "too many requests", status=429)
        time.sleep(self.latency_s)
        return REPLY

    def _admit(self) -> bool:
        with self._lock:
            self.requests += 1
            now = time.monotonic()
            while self._admitted and self._admitted[0] <= now - 1:
                self._admitted.popleft()
            if self.rate is not None and len(self._admitted) >= self.rate:
                self.refused += 1
                return False
            self._admitted.append(now)
            return True


def paid(service: Service, count: int, most: int) -> dict[str, float]:
    """Makes so many calls with the ledger of a run, and checks its sum against what the service billed."""
    with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        calls = Calls(
            CallLedger(store.ledger, store.blobs),
            budget_usd=1000,
            prices=Prices(PRICES),
            limit=ConcurrencyLimit(min(8, most), most),
            jitter=random.Random(0),
        )
        worst = calls.worst_case_usd("measured", REPLY.usage)

        def one(number: int) -> RawReply:
            return calls.call(str(number), {"model": "measured"}, worst_case_usd=worst, send=service)

        began, work = time.perf_counter(), time.process_time()
        done = sum(1 for _ in imap_unordered(one, range(count), most=most + SPARE if most > 1 else 1))
        seconds, work = time.perf_counter() - began, time.process_time() - work
        if done != count or round(calls.summary()["settled_usd"] / worst) != count:
            raise RuntimeError(f"{done} of {count} calls are done, and the ledger says {calls.summary()}")
    return {"calls": count, "seconds": seconds, "rate": count / seconds, "own_cpu_ms": 1000 * work / count}


def without_limit(count: int) -> dict[str, float]:
    """As many calls in flight as asked for, and a service that takes them all."""
    found = paid(Service(LATENCY_S), count, IN_FLIGHT)
    ideal = IN_FLIGHT / LATENCY_S
    return {**found, "ideal_rate": ideal, "share_of_ideal": found["rate"] / ideal}


def with_limit(count: int) -> dict[str, float]:
    """A service that turns down what goes beyond its limit, and does not say when to come back."""
    service = Service(LATENCY_S, RATE)
    found = paid(service, count, 64)
    wasted = service.refused / service.requests
    return {**found, "ideal_rate": RATE, "share_of_ideal": found["rate"] / RATE, "wasted": wasted}


def plain_loop(count: int) -> dict[str, float]:
    """One call after another, measured on a sample."""
    service = Service(LATENCY_S)
    began = time.perf_counter()
    for _ in range(SAMPLE):
        service({})
    rate = SAMPLE / (time.perf_counter() - began)
    return {"calls": SAMPLE, "rate": rate, "extrapolated_calls": count, "extrapolated_seconds": count / rate}


def overhead(count: int) -> dict[str, float]:
    """One thread and a service that answers at once: what reserving and committing take."""
    found = paid(Service(0), count, 1)
    return {**found, "ms_a_call": 1000 * found["seconds"] / count}


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="160 calls instead of 1,000")
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    count = 160 if arguments.quick else 1000
    figures: dict[str, Any] = {"latency_s": LATENCY_S, "in_flight": IN_FLIGHT, "service_rate": RATE, "seed": 0}
    print(machine()["summary"])
    for measure in (plain_loop, without_limit, with_limit, overhead):
        figures[measure.__name__] = measure(count)
        print(f"{measure.__name__}: {json.dumps({k: round(v, 3) for k, v in figures[measure.__name__].items()})}")
    faster = figures["without_limit"]["rate"] / figures["plain_loop"]["rate"]
    print(f"{IN_FLIGHT} in flight: {faster:.1f} times the rate of the plain loop")
    if arguments.json:
        write_json(arguments.json, figures)


if __name__ == "__main__":
    main()
