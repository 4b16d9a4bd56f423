"""Which offline critic names causes that hold on images that it has not seen?

    python benchmarks/critics.py [--worlds drawn-tag drawn-backdrop drawn-none] [--critics measured interventions]
                                 [--seeds 1] [--data SHARED] [--small | --quick] [--json FILE]

The worlds are those of `causes.py`. The guide is cut in two: a critic is asked about the mistakes of one half, prepared
with that half alone, and what it states is tested on the other. A statement is a kind of cause, present or absent, that
it gives to at least five mistakes of a pair of classes; it is tried on all mistakes of that pair in the other half, and
holds if the test of causes confirms it there, after Bonferroni's correction for the statements of the critic. `covered`
are the mistakes of the other half in pairs of which a statement holds.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from causes import (
    SIZES,
    WORLDS,
    Mistakes,
    ask_critic,
    create_world,
    find_mistakes,
    state,
)
from reporting import create_parser, describe_machine, write_json

from xaiaug import Cause, Classifier, probe_cause
from xaiaug.causes import Photo

FEWEST = 5  # mistakes with the same statement
LEVEL = 0.05
COUNTS = ("mistakes", "named", "statements", "held", "other half", "covered", "seconds")

Pair = tuple[int, int]


def main() -> None:
    """Measures, prints and writes."""
    options = _parse_options()
    rows = [row for world in options.worlds for seed in range(options.seeds) for row in measure(world, seed, options)]
    _print(rows)
    print(f"\n{describe_machine()['summary']}")
    if options.json:
        write_json(options.json, {"rows": rows}, seeds=list(range(options.seeds)))


def measure(world: str, seed: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a critic."""
    classifier, train, guide = create_world(world, seed, options)
    halves = [find_mistakes(classifier, guide[half::4] + guide[half + 1 :: 4], options.size.correct) for half in (0, 2)]
    rows = []
    for name in options.critics:
        began, spent = time.monotonic(), time.process_time()
        causes = ask_critic(name, classifier, train, halves[0])
        seconds, spent = time.monotonic() - began, time.process_time() - spent
        statements = collect_statements(causes, halves[0])
        tests = [try_statement(classifier, halves[1], *one, len(statements)) for one in statements]
        pairs = {(one["label"], one["predicted"]) for one in tests if one["holds"]}
        rows.append(
            {
                "world": world,
                "seed": seed,
                "critic": name,
                "mistakes": len(list_mistakes(halves[0])),
                "named": sum(cause is not None for cause in causes),
                "statements": len(statements),
                "held": sum(one["holds"] for one in tests),
                "other half": len(list_mistakes(halves[1])),
                "covered": sum(pair in pairs for _, pair in list_mistakes(halves[1])),
                "seconds": round(seconds, 1),
                "cpu_seconds": round(spent, 1),
                "tests": tests,
            }
        )
        print(rows[-1], flush=True)
    return rows


def list_mistakes(found: Mistakes) -> list[tuple[int, Pair]]:
    """Place, and true and predicted class, of each misclassified image."""
    pairs = [(row.label, int(predicted)) for row, predicted in zip(found.rows, found.predicted, strict=True)]
    return [(place, pair) for place, pair in enumerate(pairs) if pair[0] != pair[1]]


def collect_statements(causes: Sequence[Cause | None], found: Mistakes) -> list[tuple[Pair, Cause]]:
    """What a critic states of at least five mistakes of a pair: of a spot, that with the commonest colour and size."""
    stated: dict[tuple[Pair, tuple[str, bool]], list[Cause]] = {}
    for place, pair in list_mistakes(found):
        if (cause := causes[place]) is not None:
            stated.setdefault((pair, cause.mechanism), []).append(cause)
    return [
        (pair, Counter(same).most_common(1)[0][0]) for (pair, _), same in sorted(stated.items()) if len(same) >= FEWEST
    ]


def try_statement(
    classifier: Classifier, other: Mistakes, pair: Pair, stated: Cause, statements: int
) -> dict[str, Any]:
    """What the other half shows of a statement."""
    own = {place for place, one in list_mistakes(other) if one == pair}
    causes = [_restate(stated, photo) if place in own else None for place, photo in enumerate(other.photos)]
    images, labels = [row.image for row in other.rows], [row.label for row in other.rows]
    verdicts = [one.verdict for one in probe_cause(classifier, images, labels, causes)] if own else []
    holds = any(one.outcome == "confirmed" and one.p * statements <= LEVEL for one in verdicts)
    row = {"label": pair[0], "predicted": pair[1], "kind": stated.kind, "present": stated.present, "holds": holds}
    return {**row, "sentences": [one.sentence for one in verdicts]}


def _restate(stated: Cause, photo: Photo) -> Cause:
    """A statement about another image: a spot is the same, any other property has that image's own value."""
    if stated.kind == "region":
        return stated
    own = state(stated.kind, photo)
    return Cause(own.kind, stated.present, own.colour)


def _print(rows: Sequence[dict[str, Any]]) -> None:
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["world"], row["critic"]), []).append(row)
    print(f"\n{'world':<16}{'critic':<16}" + "".join(f"{name:>12}" for name in COUNTS))
    for (world, critic), same in groups.items():
        print(f"{world:<16}{critic:<16}" + "".join(f"{sum(row[name] for row in same):>12.0f}" for name in COUNTS))


def _parse_options() -> argparse.Namespace:
    parser = create_parser(__doc__, quick="40 drawings of one world, two steps", small="600 guide images")
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=["drawn-tag", "drawn-backdrop", "drawn-none"])
    parser.add_argument("--critics", nargs="+", default=["measured", "interventions"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--data", type=Path, metavar="SHARED", help="holds cats-vs-dogs and weights, for photo-*")
    options = parser.parse_args()
    options.size = SIZES["quick" if options.quick else "small" if options.small else "usual"]
    if options.quick:
        options.worlds = options.worlds[:1]
    if options.data is None and any(world.startswith("photo") for world in options.worlds):
        parser.error("photo-* need --data")
    return options


if __name__ == "__main__":
    main()
