"""How much of the planted shortcut the new images close, on the drawn world, with both priors.

    python benchmarks/petworld.py [--arms basic] [--prior both] [--seeds 3] [--small | --quick] [--json FILE]
                                  [--run-dir DIR]

One run a seed: the seed decides the drawings, the baseline, the synthesis and every training. The oracle is trained
with the same recipes on as many drawings without the shortcut. Gap closed = (arm - continued) / (oracle - continued),
in accuracy on the balanced test. The interval of the difference to `continued` is Student's over the seeds, whose
drawings differ too. Rerun the same command to resume.
"""

from __future__ import annotations

import argparse
import math
import shutil
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reporting import create_parser, create_quick_folder, describe_machine, write_json
from scipy.stats import t

from xaiaug import FeedbackLoop, Recipe, Result, Sample, Splits, load, petworld
from xaiaug.interfaces import Context
from xaiaug.store import Reader, StageName
from xaiaug.store.schema import predict_test_stage

RATE, BATCH = 5e-4, 16
PRIORS = ("biased", "uniform")


@dataclass(frozen=True)
class Size:
    """How large a benchmark is.

    Attributes:
        splits: drawings of each split.
        reserve: further drawings like those of train, for the arm more-real.
        baseline_steps: of the baseline's training.
        arm_steps: of each arm's.
        mistakes: most mistakes that images are made from.
    """

    splits: dict[str, int]
    reserve: int = 1000
    baseline_steps: int = 250  # 4,000 image passes
    arm_steps: int = 187  # 2,992 image passes
    mistakes: int = 200

    @property
    def baseline(self) -> Recipe:
        """The recipe of the baseline."""
        return Recipe(steps=self.baseline_steps, batch_size=BATCH, learning_rate=RATE)

    @property
    def arm(self) -> Recipe:
        """The recipe of each arm."""
        return Recipe(steps=self.arm_steps, batch_size=BATCH, learning_rate=RATE)


FULL = Size({"train": 2000, "guide": 6000, "validation": 200, "test": 4000})
SMALL = Size({"train": 300, "guide": 600, "validation": 40, "test": 200})
QUICK = Size(
    {"train": 32, "guide": 48, "validation": 4, "test": 24}, reserve=48, baseline_steps=2, arm_steps=2, mistakes=4
)


def main() -> None:
    """Measures, prints and writes."""
    options = _parse_options()
    started = time.monotonic()
    rows = [row for seed in options.seeds for row in run_seed(seed, options)]
    print(format_table(rows))
    took = time.monotonic() - started
    print(f"\nfigures of a drawn world; seeds {options.seeds}; {took:.0f} s; {describe_machine()['summary']}")
    if options.json:
        write_json(options.json, {"rows": rows, "sizes": options.size.splits}, seeds=options.seeds)


def run_seed(seed: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each prior and arm of one seed, and the oracle's."""
    folder, size = Path(options.run_dir), options.size
    world, fair = folder / f"world-{seed}", folder / f"fair-{seed}"
    scenes = petworld.write_world(world, sizes=size.splits, seed=seed)
    conflicts = {file: len(scene.conflicts) for file, scene in scenes.items()}
    fair_sizes = {split: size.splits[split] for split in ("train", "validation")}
    petworld.write_world(fair, sizes=fair_sizes, seed=seed, unbiased=tuple(fair_sizes))
    splits = Splits.from_folder(world)
    if options.arms == "full":
        reserve = folder / f"reserve-{seed}"
        petworld.write_world(reserve, sizes={"reserve": size.reserve}, seed=seed)
        splits = replace(splits, reserve=_samples(reserve / "reserve"))
    rows: list[dict[str, Any]] = []
    by_image = {sample.id: conflicts[sample.opener.name] for sample in splits.test}
    for prior in PRIORS if options.prior == "both" else (options.prior,):
        run_dir, first = folder / f"run-{seed}-{prior}", folder / f"run-{seed}-{PRIORS[0]}"
        if first.exists() and not run_dir.exists():
            shutil.copytree(first, run_dir)  # baseline, heatmaps and critiques do not depend on the prior
        result = run_loop(splits, seed, prior, run_dir, options)
        rows += [{"seed": seed, "prior": prior, **row} for row in score_arms(result, seed, by_image)]
    oracle = oracle_accuracy(splits, fair, seed, size, folder / f"oracle-{seed}.txt")
    return [*rows, {"seed": seed, "prior": "", "arm": "oracle", "accuracy": oracle}]


def run_loop(splits: Splits, seed: int, prior: str, run_dir: Path, options: argparse.Namespace) -> Result:
    """The loop with one prior."""
    loop = FeedbackLoop(
        "transformers",
        synthesizer="petworld",
        arms=options.arms,
        seeds=(seed,),
        recipe=options.size.arm,
        baseline_recipe=options.size.baseline,
        settings={
            "classifier": {"checkpoint": str(petworld.checkpoint())},
            "synthesizer": {"prior": prior},
            "mistakes": {"max": options.size.mistakes},
        },
    )
    result = loop.run(splits, run_dir)
    print(f"seed {seed}, prior {prior}: {result.report.mistakes.found} mistakes on {len(splits.guide)} guide images")
    print(result.table(), flush=True)
    return result


def score_arms(result: Result, seed: int, conflicts: dict[str, int]) -> list[dict[str, Any]]:
    """Accuracy of each arm, also by conflicts, and its new images.

    Args:
        result: of a finished run.
        seed: of the trainings.
        conflicts: of each test image, by id: how many of coat and backdrop contradict the label.
    """
    return [
        {
            "arm": arm.name,
            "accuracy": next(s.metrics.accuracy for s in arm.seeds if s.seed == seed and s.metrics),
            "by_conflicts": accuracy_by_conflicts(result, predict_test_stage(arm.name, seed), conflicts),
            "new_images": sum(arm.synthetic.values()),
            "guide_mistakes": result.report.mistakes.found,
        }
        for arm in result.report.arms
    ]


def accuracy_by_conflicts(result: Result, stage: StageName, conflicts: dict[str, int]) -> list[float]:
    """Accuracy on the test images where none, one and both of coat and backdrop contradict the label."""
    reader = Reader(result.run_dir)
    hits: dict[int, list[bool]] = {0: [], 1: [], 2: []}
    for row in reader.rows(stage):
        predicted = reader.blobs.array(row["probabilities"]["blob"]).argmax(axis=1)
        for id_, label, prediction in zip(row["ids"], row["labels"], predicted.tolist(), strict=True):
            hits[conflicts[id_]].append(label == prediction)
    reader.close()
    return [statistics.mean(group) if group else math.nan for group in hits.values()]


def oracle_accuracy(splits: Splits, fair: Path, seed: int, size: Size, cache: Path) -> float:
    """Accuracy on test after the same two recipes on drawings without the shortcut; read from `cache` where it is."""
    if cache.exists():
        return float(cache.read_text())
    drawings = {split: _samples(fair / split) for split in ("train", "validation")}
    classifier = load("classifier", "transformers", checkpoint=str(petworld.checkpoint()))
    classifier.prepare(Context(labels=splits.labels))
    for recipe in (size.baseline, size.arm):
        classifier.fit(drawings["train"], drawings["validation"], recipe=recipe, seed=seed)
    predicted = classifier.predict_proba([sample.open() for sample in splits.test]).argmax(axis=1)
    accuracy = float((predicted == [sample.label for sample in splits.test]).mean())
    cache.write_text(repr(accuracy))
    return accuracy


def format_table(rows: list[dict[str, Any]]) -> str:
    """Accuracy and gap closed of each arm and prior: mean and range over the seeds."""
    header = f"{'arm':<26}{'prior':<10}{'accuracy':>10}{'lowest':>9}{'highest':>9}{'gap closed':>12}"
    header += f"{'over continued':>26}"
    lines = [header + "   accuracy by conflicts: none, one, both"]
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["arm"], row["prior"]), []).append(row)
    for (arm, prior), group in groups.items():
        values = [row["accuracy"] for row in group]
        closed = [gap_closed(row, rows) for row in group if arm not in ("oracle", "continued")]
        gap = f"{100 * statistics.mean(closed):>11.0f}%" if closed else f"{'':>12}"
        mean, low, high = statistics.mean(values), min(values), max(values)
        over = _interval(group, rows) if arm not in ("oracle", "continued") else ""
        lines.append(f"{arm:<26}{prior:<10}{mean:>10.3f}{low:>9.3f}{high:>9.3f}{gap}{over:>26}{_conflicts(group)}")
    return "\n".join(lines)


def gap_closed(row: dict[str, Any], rows: list[dict[str, Any]]) -> float:
    """(arm - continued) / (oracle - continued), within one seed and prior; NaN where the oracle is no better."""
    start = _continued_accuracy(row, rows)
    oracle = next(o["accuracy"] for o in rows if o["arm"] == "oracle" and o["seed"] == row["seed"])
    return (row["accuracy"] - start) / (oracle - start) if oracle != start else math.nan


def _interval(group: list[dict[str, Any]], rows: list[dict[str, Any]]) -> str:
    """Mean difference to `continued` in points, with Student's 95 % interval over the seeds."""
    values = [100 * (row["accuracy"] - _continued_accuracy(row, rows)) for row in group]
    mean = statistics.mean(values)
    if len(values) < 3:
        return f"{mean:+.1f}"
    low, high = t.interval(0.95, len(values) - 1, mean, statistics.stdev(values) / len(values) ** 0.5)
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"


def _continued_accuracy(row: dict[str, Any], rows: list[dict[str, Any]]) -> float:
    return next(
        o["accuracy"] for o in rows if (o["seed"], o["arm"], o["prior"]) == (row["seed"], "continued", row["prior"])
    )


def _conflicts(group: list[dict[str, Any]]) -> str:
    parts = zip(*(row["by_conflicts"] for row in group if "by_conflicts" in row), strict=True)
    return "   " + "  ".join(f"{statistics.mean(part):.3f}" for part in parts)


def _samples(folder: Path) -> list[Sample]:
    return list(Splits.from_folder(folder, guide=0.0, validation=0.0, test=0.0).train)


def _parse_options() -> argparse.Namespace:
    parser = create_parser(
        __doc__,
        quick="a few dozen drawings, two steps, one seed, one prior",
        small="a tenth of the drawings, one seed: minutes",
    )
    parser.add_argument("--arms", default="basic", help="basic, paper, standard or full")
    parser.add_argument("--prior", default="both", choices=("both", *PRIORS), help="decides what prompts leave open")
    parser.add_argument("--seeds", type=int, nargs="+", default=[3], help="how many, or which")
    parser.add_argument("--run-dir", default="runs/benchmark-petworld", metavar="DIR")
    options = parser.parse_args()
    options.size = QUICK if options.quick else SMALL if options.small else FULL
    if len(options.seeds) == 1:
        options.seeds = list(range(options.seeds[0]))
    if options.arms != "basic":
        options.run_dir += f"-{options.arms}"
    if options.small:
        options.seeds, options.run_dir = options.seeds[:1], f"{options.run_dir}-small"
    if options.quick:
        options.seeds, options.prior, options.run_dir = options.seeds[:1], PRIORS[0], create_quick_folder()
    return options


if __name__ == "__main__":
    main()
