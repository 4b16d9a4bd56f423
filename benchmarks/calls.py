"""How fast paid calls go through: against the ideal rate, a rate-limited service, and a plain loop.

    python benchmarks/calls.py [--rounds 3] [--quick] [--json FILE]

The service is a function in this process that sleeps and counts. The ledger is that of a run folder on disk, so each
call commits its intent, its raw reply and its cost. The plain loop sends one call after another and records nothing;
it is timed on a sample and extrapolated to all calls. The measures take turns, round by round; a figure is the median
of the rounds, with quartiles.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from reporting import create_parser, describe_machine, summarize, write_json

from xaiaug.calls import CallError, Calls, ConcurrencyLimit, Prices, RawReply, imap_unordered
from xaiaug.store import CallLedger, Store

LATENCY_S = 0.5
IN_FLIGHT = 32
RATE = 20
SPARE = 32  # threads that commit while others wait for the service; a run has more
CALLS, FEW, QUICK = 1000, 160, 80
SAMPLE, QUICK_SAMPLE = 20, 4  # calls of the plain loop
SEED = 0  # of the jitter between retries
PRICES = {"measured": {"input_usd_per_mtok": 3, "output_usd_per_mtok": 15}}
REPLY = RawReply({"text": "word " * 200}, {"input_tokens": 1500, "output_tokens": 250})


class Service:
    """Answers after `latency_s`, or with 429 to more than `rate` requests a second."""

    def __init__(self, latency_s: float, rate: int | None = None) -> None:
        self.latency_s, self.rate = latency_s, rate
        self.requests = self.refused = 0
        self._admitted: deque[float] = deque()
        self._lock = threading.Lock()

    def __call__(self, _: Mapping[str, Any]) -> RawReply:
        """The same reply to every request."""
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


def time_calls(service: Service, count: int, most: int) -> dict[str, float]:
    """Makes `count` calls, at most `most` in flight, and checks that the ledger has every one."""
    with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        calls = Calls(
            CallLedger(store.ledger, store.blobs),
            budget_usd=1000,
            prices=Prices(PRICES),
            limit=ConcurrencyLimit(min(8, most), most),
            jitter=random.Random(SEED),
        )
        worst = calls.worst_case_usd("measured", REPLY.usage)

        def send(number: int) -> RawReply:
            return calls.call(str(number), {"model": "measured"}, worst_case_usd=worst, send=service)

        send(-1)  # the first call of a model goes alone, and is not timed
        began, cpu_began = time.perf_counter(), time.process_time()
        done = sum(1 for _ in imap_unordered(send, range(count), most=most + SPARE if most > 1 else 1))
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu_began
        if done != count or round(calls.summary()["settled_usd"] / worst) != count + 1:
            raise RuntimeError(f"{done} of {count} calls are done, but the ledger has {calls.summary()}")
    return {"calls": count, "seconds": seconds, "rate": count / seconds, "own_cpu_ms": 1000 * cpu / count}


def time_without_limit(count: int) -> dict[str, float]:
    """A service that takes every call at once."""
    figures = time_calls(Service(LATENCY_S), count, IN_FLIGHT)
    ideal = IN_FLIGHT / LATENCY_S
    return {**figures, "ideal_rate": ideal, "share_of_ideal": figures["rate"] / ideal}


def time_with_limit(count: int) -> dict[str, float]:
    """A service that refuses what exceeds its limit, without a retry-after."""
    service = Service(LATENCY_S, RATE)
    figures = time_calls(service, count, 64)
    wasted = service.refused / service.requests
    return {**figures, "ideal_rate": RATE, "share_of_ideal": figures["rate"] / RATE, "wasted": wasted}


def time_plain_loop(count: int, sample: int) -> dict[str, float]:
    """One call after another, timed on a sample."""
    service = Service(LATENCY_S)
    began = time.perf_counter()
    for _ in range(sample):
        service({})
    rate = sample / (time.perf_counter() - began)
    return {"calls": sample, "rate": rate, "extrapolated_calls": count, "extrapolated_seconds": count / rate}


def time_overhead(count: int) -> dict[str, float]:
    """One thread and a service that answers at once: what reserving and committing cost."""
    figures = time_calls(Service(0), count, 1)
    return {**figures, "ms_a_call": 1000 * figures["seconds"] / count}


def main() -> None:
    """Measures, prints and writes."""
    options = _parse_options()
    count, few, sample = (QUICK, QUICK, QUICK_SAMPLE) if options.quick else (CALLS, FEW, SAMPLE)
    print(describe_machine()["summary"])
    measures: dict[str, Callable[[], dict[str, float]]] = {
        "plain_loop": lambda: time_plain_loop(count, sample),
        "without_limit": lambda: time_without_limit(count),
        "without_limit_few": lambda: time_without_limit(few),
        "with_limit": lambda: time_with_limit(count),
        "overhead": lambda: time_overhead(count),
    }
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in measures}
    for _ in range(options.rounds):
        for name, measure in measures.items():
            rounds[name].append(measure())
            row = {key: round(value, 3) for key, value in rounds[name][-1].items()}
            print(f"{name}: {json.dumps(row)}", flush=True)
    figures: dict[str, Any] = {"latency_s": LATENCY_S, "in_flight": IN_FLIGHT, "service_rate": RATE}
    for name, rows in rounds.items():
        figures[name] = {key: summarize([row[key] for row in rows]) for key in rows[0]}
    pairs = zip(rounds["without_limit"], rounds["plain_loop"], strict=True)
    figures["times_the_plain_loop"] = summarize([ours["rate"] / plain["rate"] for ours, plain in pairs])
    print(f"{IN_FLIGHT} in flight: {figures['times_the_plain_loop']['median']:.1f} times the rate of the plain loop")
    if options.json:
        write_json(options.json, figures, seeds=[SEED])


def _parse_options() -> argparse.Namespace:
    parser = create_parser(__doc__, quick=f"{QUICK} calls instead of {CALLS:,}, one round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    options.rounds = 1 if options.quick else options.rounds
    return options


if __name__ == "__main__":
    main()
