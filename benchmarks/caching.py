"""What prompt caching saves of a paid critic's bill, by the length of the text that is the same for all cases.

    python benchmarks/caching.py [--quick] [--json FILE]

ClaudeCritic asks about cases with `cache_system` off and on, with our system text and with longer ones. The server is
`xaiaug.testing.Loopback`, called by the real SDK; it keeps a text as the service's documentation describes: from LEAST
tokens on, written by the first request that has it and read by the others. It counts four characters a token. Prices
are the current ones. The dollars that the critic's ledger settled are checked against those of the server's counts.
"""

from __future__ import annotations

import json
import math
import os
from decimal import Decimal
from typing import Any

from bill import LABELS, Model, create_case
from reporting import create_parser, describe_machine, write_json

from xaiaug.calls import Calls, MemoryLedger, Prices
from xaiaug.interfaces import Context
from xaiaug.plugins.critics._templates import TEMPLATES
from xaiaug.plugins.critics.claude import ClaudeCritic
from xaiaug.records import Case
from xaiaug.testing import Loopback, Reply, Request

LEAST = 1_024  # tokens that are kept; some models keep no fewer than 4,096
MODEL = "claude-haiku-5-5"
LENGTHS = (0, 1_000, 2_000, 5_000)  # tokens added to our system text
CASES, QUICK, SEED = 200, 8, 0


class CachingServer:
    """Answers as a model does, and reports what it wrote to its cache and read from it."""

    def __init__(self) -> None:
        self.model, self.kept = Model(SEED), set[str]()
        self.usages: list[dict[str, int]] = []

    def __call__(self, request: Request) -> Any:
        """The whole body: a scripted reply has no counts of a cache."""
        system = request.body.get("system")
        text = system[0]["text"] if isinstance(system, list) and "cache_control" in system[0] else ""
        tokens = math.ceil(len(text) / 4)
        tokens = tokens if tokens >= LEAST else 0
        answer = json.dumps(self.model(request).json)
        usage = {
            "input_tokens": request.input_tokens - tokens,
            "output_tokens": math.ceil(len(answer) / 4),
            "cache_creation_input_tokens": 0 if text in self.kept else tokens,
            "cache_read_input_tokens": tokens if text in self.kept else 0,
        }
        self.kept.add(text)
        self.usages.append(usage)
        head = {"id": f"msg_{request.number}", "type": "message", "role": "assistant", "model": request.model}
        content = [{"type": "text", "text": answer}]
        return Reply.recorded({**head, "content": content, "stop_reason": "end_turn", "usage": usage})

    def dollars(self) -> Decimal:
        """What it bills, by the prices of each kind of token."""
        rates = Prices().of(MODEL).rates
        names = {
            "input": "input_tokens",
            "output": "output_tokens",
            "cache_write": "cache_creation_input_tokens",
            "cache_read": "cache_read_input_tokens",
        }
        return sum((rates[unit].usd * usage[name] for usage in self.usages for unit, name in names.items()), Decimal(0))


def measure_bill(cases: list[Case], system: str, *, cached: bool) -> tuple[float, float]:
    """Dollars that the critic's ledger settled, and those of the server's counts."""
    model = CachingServer()
    with Loopback(model, keep=1) as server:
        os.environ.update(server.environment())
        critic = ClaudeCritic(MODEL, cache_system=cached, templates={"system": system})
        calls = Calls(MemoryLedger(), budget_usd=100)
        critic.prepare(Context(labels=LABELS, paid=calls))
        critic.critique(cases)
        settled: Any = calls.summary()["settled_usd"]
    return settled, float(model.dollars() / 10**6)


def main() -> None:
    """Measures, prints and writes."""
    options = create_parser(__doc__, quick=f"{QUICK} cases instead of {CASES}").parse_args()
    cases = [create_case(number) for number in range(QUICK if options.quick else CASES)]
    print(f"{len(cases)} cases, {MODEL}; {describe_machine()['summary']}")
    print(f"{'system text':>12} {'plain':>9} {'cached':>9} {'saved':>7}")
    rows = []
    for added in LENGTHS:
        system = TEMPLATES["system"] + "x" * 4 * added
        plain, cached = (measure_bill(cases, system, cached=cached) for cached in (False, True))
        for settled, billed in (plain, cached):
            if not math.isclose(settled, billed, rel_tol=1e-9):
                raise SystemExit(f"the ledger has ${settled}, and the server billed ${billed}")
        tokens, saved = math.ceil(len(system) / 4), 1 - cached[0] / plain[0]
        rows.append({"system_tokens": tokens, "plain_usd": plain[0], "cached_usd": cached[0], "saved": saved})
        print(f"{tokens:>12,} {plain[0]:>9.4f} {cached[0]:>9.4f} {saved:>7.1%}", flush=True)
    if options.json:
        write_json(options.json, {"model": MODEL, "cases": len(cases), "rows": rows}, seeds=[SEED])


if __name__ == "__main__":
    main()
