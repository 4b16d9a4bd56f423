"""How close a plan's estimate comes to the bill of a paid critic.

    python benchmarks/bill.py [--per mistake | slice] [--quick] [--json FILE]

Critics estimate many cases, ask about them, and are billed. The server is `xaiaug.testing.Loopback`, called by the real
SDKs: it counts image tokens by each service's own rule and text tokens as four characters. Images have mixed shapes.
Answers are as long as the templates ask for, spread evenly between short and long; a few prompts name the wrong class
and are asked for again. Prices are the current ones. With --per slice each case is a sheet, of which a tenth as many
are sent.
"""

from __future__ import annotations

import itertools
import os
import random
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image
from reporting import create_parser, describe_machine, write_json

from xaiaug import panel
from xaiaug.calls import Calls, MemoryLedger, Prices
from xaiaug.interfaces import Context
from xaiaug.plan.costs import bill
from xaiaug.plugins.critics.claude import ClaudeCritic
from xaiaug.plugins.critics.openai import OpenAICritic
from xaiaug.records import Case, Explanation, MistakeSlice, Sheet
from xaiaug.testing import Loopback, Reply, Request

LABELS = ("cat", "dog")
SIZES = ((500, 375), (375, 500), (400, 400), (320, 240), (640, 360))
WRONG_CLASS = 0.025  # share of the prompts
LONG_WORDS = ("floor", "blurred", "orange", "pillow", "grass", "under")
WORDS = ("light", "coat", "sofa", "window", "shadow", "narrow", "grey", "brown", "behind", "corner", *LONG_WORDS)
CRITICS = {"claude": ClaudeCritic, "openai": OpenAICritic}
CASES, QUICK, SEED = 1000, 25, 0
FEWER, EXAMPLES = 10, 6  # cases for each sheet, and images on it


def create_case(number: int) -> Case:
    """A grey image with a heatmap; what it shows does not change its price."""
    size = SIZES[number % len(SIZES)]
    image = Image.new("RGB", size, (number % 251, 90, 120))
    heatmap = np.tile(np.linspace(0, 1, size[0], dtype=np.float32), (size[1], 1))
    explanation = Explanation(heatmap, "attention-rollout", 1, True)
    picture = panel.draw(image, explanation, label="cat", predicted="dog", side=512)
    return Case(f"{number}", image, picture, "cat", "dog", np.array([0.2, 0.8], np.float32), explanation)


def create_sheet(cases: list[Case]) -> Case:
    """A slice, of which the cases are the examples."""
    name = "cat predicted as dog: with a yellow spot in a corner, as 3 % of the correct images have"
    of = MistakeSlice(name, "mark", "cat", "dog", 24, 18, 0.25, 0.1, 0.4, 0.9, 0.001, (), ())
    sheet = Sheet(of, 36, tuple(cases), tuple(case.image for case in cases))
    picture = panel.draw_sheet(sheet, "cat")
    return replace(cases[0], id=f"slice {cases[0].id}", panel=picture, sheet=sheet)


class Model:
    """Answers at the length that was asked for."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def __call__(self, request: Request) -> Reply:
        """The answer to one question, in either dialogue."""
        if request.schema is None:
            first = request.turn == 1
            return Reply(self._words(60, 120) if first else self._prompt(30, 90))
        evidence = [self._words(4, 10) for _ in range(self._random.randint(1, 3))]
        guidance = {"subject_colour": "#808080", "backdrop_colour": "#e08020", "brightness": 0.3, "sharpness": None}
        answer: dict[str, Any] = {
            "cause": self._words(10, 20),
            "attended": "background",
            "difficulty": self._words(8, 20),
            "evidence": evidence,
            "label_suspect": False,
            "confidence": 0.8,
            "guidance": {**guidance, "size": 0.2, "place": "left"},
            "prompt": self._prompt(20, 50),
        }
        return Reply(json=answer)

    def _prompt(self, least: int, most: int) -> str:
        subject = "dog" if self._random.random() < WRONG_CLASS else "cat"
        return f"a photo of a {subject}, {self._words(least - 5, most - 5)}"

    def _words(self, least: int, most: int) -> str:
        return " ".join(self._random.choices(WORDS, k=self._random.randint(least, most)))


def compare_plan_with_bill(name: str, dialogue: str, mode: str, cases: list[Case]) -> dict[str, Any]:
    """One critic's plan and bill."""
    prices = Prices()
    with Loopback(Model(SEED), keep=1) as server:
        os.environ.update(server.environment())
        critic = CRITICS[name](dialogue=dialogue, mode=mode)
        calls = Calls(MemoryLedger(), budget_usd=100, prices=prices)
        critic.prepare(Context(labels=LABELS, paid=calls))
        critic.critique(cases)
        estimate = critic.estimate if cases[0].sheet is None else critic.estimate_sheets
        plan = bill(critic, (len(cases), len(cases)), prices, estimate)
        paid: Any = calls.summary()["settled_usd"]
    low, high = plan.usd or (float("nan"),) * 2
    tokens = server.bill.output_tokens / server.bill.requests
    figures = {"plan_usd": [low, high], "paid_usd": paid, "calls": server.bill.requests, "answer_tokens": tokens}
    return {"critic": name, "dialogue": dialogue, "mode": mode, **figures, "middle": (low + high) / 2 / paid}


def main() -> None:
    """Measures, prints and writes."""
    parser = create_parser(__doc__, quick=f"{QUICK} cases instead of {CASES:,}")
    parser.add_argument("--per", choices=("mistake", "slice"), default="mistake", help="what is asked about at once")
    options = parser.parse_args()
    cases = [create_case(number) for number in range(QUICK if options.quick else CASES)]
    if options.per == "slice":
        cases = [create_sheet(cases[start : start + EXAMPLES]) for start in range(0, len(cases), FEWER)]
    print(f"{len(cases)} cases; {describe_machine()['summary']}")
    print(f"{'critic':<8} {'dialogue':<11} {'mode':<6} {'plan':>18} {'paid':>8} {'calls':>6} {'middle / paid':>14}")
    rows = []
    for name, dialogue, mode in itertools.product(CRITICS, ("structured", "paper"), ("live", "batch")):
        row = compare_plan_with_bill(name, dialogue, mode, cases)
        rows.append(row)
        low, high = row["plan_usd"]
        plan, paid = f"${low:.3f} to ${high:.3f}", f"${row['paid_usd']:.3f}"
        head = f"{name:<8} {dialogue:<11} {mode:<6} {plan:>18}"
        print(f"{head} {paid:>8} {row['calls']:>6} {row['middle']:>14.2f}", flush=True)
    if options.json:
        write_json(options.json, {"per": options.per, "cases": len(cases), "rows": rows}, seeds=[SEED])


if __name__ == "__main__":
    main()
