"""How much of the planted shortcut the new images close, on the drawn world, with both priors.

    python benchmarks/petworld.py [--arms basic] [--prior both] [--seeds 3] [--quick] [--json FILE] [--run-dir DIR]

A run a seed: the seed decides the drawings, the baseline, the synthesis and every training. The oracle is trained with
the same recipes on as many drawings without the shortcut. Gap closed = (arm - continued) / (oracle - continued), by
accuracy on the balanced test. The interval of the difference to `continued` is Student's over the seeds, whose drawings
differ, too. Resumable: the same command goes on.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from reporting import machine, write_json
from scipy.stats import t

from xaiaug import FeedbackLoop, Recipe, Result, Sample, Splits, load, petworld
from xaiaug.interfaces import Context
from xaiaug.store import Reader

SIZES = {"train": 2000, "guide": 6000, "validation": 200, "test": 4000}
QUICK = {"train": 300, "guide": 600, "validation": 40, "test": 200}
RESERVE = 1000  # further drawings like those of train, for the arm more-real
BASELINE = Recipe(steps=250, batch_size=16, learning_rate=5e-4)  # 4,000 image passes
ARMS = Recipe(steps=187, batch_size=16, learning_rate=5e-4)  # 2,992 image passes
PRIORS = ("biased", "uniform")


def main() -> None:
    options = _options()
    started = time.monotonic()
    given = options.seeds if len(options.seeds) > 1 else list(range(options.seeds[0]))
    seeds = given[:1] if options.quick else given
    rows = [row for seed in seeds for row in one_seed(seed, options)]
    print(table(rows))
    print(f"\nnumbers of a drawn world; seeds {seeds}; {time.monotonic() - started:.0f} s; {machine()['summary']}")
    if options.json:
        write_json(options.json, {"rows": rows, "seeds": seeds, "sizes": _sizes(options)})


def one_seed(seed: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a prior and arm, and the oracle's, of one seed."""
    folder = Path(options.run_dir)
    world, fair = folder / f"world-{seed}", folder / f"fair-{seed}"
    sizes = _sizes(options)
    conflicts = {
        file: len(scene.conflicts) for file, scene in petworld.write_world(world, sizes=sizes, seed=seed).items()
    }
    petworld.write_world(
        fair,
        sizes={split: sizes[split] for split in ("train", "validation")},
        seed=seed,
        unbiased=("train", "validation"),
    )
    if options.arms == "full":
        petworld.write_world(folder / f"reserve-{seed}", sizes={"reserve": RESERVE}, seed=seed)
    splits = Splits.from_folder(world)
    if options.arms == "full":
        splits = replace(splits, reserve=_samples(folder / f"reserve-{seed}" / "reserve"))
    rows: list[dict[str, Any]] = []
    against = {sample.id: conflicts[sample.opener.name] for sample in splits.test}
    for prior in PRIORS if options.prior == "both" else (options.prior,):
        run_dir, first = folder / f"run-{seed}-{prior}", folder / f"run-{seed}-{PRIORS[0]}"
        if first.exists() and not run_dir.exists():
            shutil.copytree(first, run_dir)  # baseline, heatmaps and critiques do not depend on the prior
        result = run(splits, seed, prior, run_dir, options.arms)
        rows += [{"seed": seed, "prior": prior, **row} for row in scores(result, seed, against)]
    oracle = oracle_accuracy(splits, fair, seed, folder / f"oracle-{seed}.txt")
    return [*rows, {"seed": seed, "prior": "", "arm": "oracle", "accuracy": oracle}]


def run(splits: Splits, seed: int, prior: str, run_dir: Path, arms: str) -> Result:
    """The loop with one prior."""
    loop = FeedbackLoop(
        "transformers",
        synthesizer="petworld",
        arms=arms,
        seeds=(seed,),
        recipe=ARMS,
        baseline_recipe=BASELINE,
        settings={"classifier": {"checkpoint": str(petworld.checkpoint())}, "synthesizer": {"prior": prior}},
    )
    result = loop.run(splits, run_dir)
    print(f"seed {seed}, prior {prior}: {result.report.mistakes.found} mistakes on {len(splits.guide)} guide images")
    print(result.table(), flush=True)
    return result


def scores(result: Result, seed: int, against: dict[str, int]) -> list[dict[str, Any]]:
    """Accuracy of each arm, also by how many of coat and backdrop go against the label, and its new images."""
    found = {arm.name: arm for arm in result.report.arms}
    return [
        {
            "arm": name,
            "accuracy": next(s.metrics.accuracy for s in arm.seeds if s.seed == seed and s.metrics),
            "by_conflicts": by_conflicts(result, f"predict/test:{name}:{seed}", against),
            "new_images": sum(arm.synthetic.values()),
            "guide_mistakes": result.report.mistakes.found,
        }
        for name, arm in found.items()
    ]


def by_conflicts(result: Result, stage: str, against: dict[str, int]) -> list[float]:
    """Accuracy on the test images of which none, one and both of coat and backdrop go against the label."""
    reader = Reader(result.run_dir)
    right: dict[int, list[bool]] = {0: [], 1: [], 2: []}
    for row in reader.rows(stage):
        predicted = reader.blobs.array(row["probabilities"]["blob"]).argmax(axis=1)
        for id_, label, guess in zip(row["ids"], row["labels"], predicted.tolist(), strict=True):
            right[against[id_]].append(label == guess)
    reader.close()
    return [statistics.mean(hits) for hits in right.values()]


def oracle_accuracy(splits: Splits, fair: Path, seed: int, kept: Path) -> float:
    """Accuracy on test after the same two recipes on drawings without the shortcut."""
    if kept.exists():
        return float(kept.read_text())
    even = {split: _samples(fair / split) for split in ("train", "validation")}
    classifier = load("classifier", "transformers", checkpoint=str(petworld.checkpoint()))
    classifier.prepare(Context(labels=splits.labels))
    for recipe in (BASELINE, ARMS):
        classifier.fit(even["train"], even["validation"], recipe=recipe, seed=seed)
    predicted = classifier.predict_proba([sample.open() for sample in splits.test]).argmax(axis=1)
    accuracy = float((predicted == [sample.label for sample in splits.test]).mean())
    kept.write_text(repr(accuracy))
    return accuracy


def table(rows: list[dict[str, Any]]) -> str:
    """Accuracy and gap closed of each arm, mean and range over the seeds, priors beside each other."""
    heads = f"{'arm':<26}{'prior':<10}{'accuracy':>10}{'lowest':>9}{'highest':>9}{'gap closed':>12}"
    heads += f"{'over continued':>26}"
    lines = [heads + "   accuracy by conflicts: none, one, both"]
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
    """(arm - continued) / (oracle - continued), within one seed and prior."""
    start = _continued(row, rows)
    oracle = next(o["accuracy"] for o in rows if o["arm"] == "oracle" and o["seed"] == row["seed"])
    return (row["accuracy"] - start) / (oracle - start)


def _interval(group: list[dict[str, Any]], rows: list[dict[str, Any]]) -> str:
    """Mean difference to `continued` in points, with Student's 95 % interval over the seeds."""
    values = [100 * (row["accuracy"] - _continued(row, rows)) for row in group]
    mean = statistics.mean(values)
    if len(values) < 3:
        return f"{mean:+.1f}"
    low, high = t.interval(0.95, len(values) - 1, mean, statistics.stdev(values) / len(values) ** 0.5)
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"


def _continued(row: dict[str, Any], rows: list[dict[str, Any]]) -> float:
    return next(
        o["accuracy"] for o in rows if (o["seed"], o["arm"], o["prior"]) == (row["seed"], "continued", row["prior"])
    )


def _conflicts(group: list[dict[str, Any]]) -> str:
    parts = zip(*(row["by_conflicts"] for row in group if "by_conflicts" in row), strict=True)
    return "   " + "  ".join(f"{statistics.mean(part):.3f}" for part in parts)


def _samples(folder: Path) -> list[Sample]:
    return list(Splits.from_folder(folder, guide=0.0, validation=0.0, test=0.0).train)


def _sizes(options: argparse.Namespace) -> dict[str, int]:
    return QUICK if options.quick else SIZES


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--arms", default="basic", help="basic, paper, standard or full")
    parser.add_argument("--prior", default="both", choices=("both", *PRIORS), help="what prompts leave open follows it")
    parser.add_argument("--seeds", type=int, nargs="+", default=[3], help="how many, or which")
    parser.add_argument("--quick", action="store_true", help="a tenth of the drawings and one seed")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--run-dir", default="runs/benchmark-petworld")
    options = parser.parse_args()
    if options.arms != "basic":
        options.run_dir += f"-{options.arms}"
    if options.quick:
        options.run_dir += "-quick"
    return options


if __name__ == "__main__":
    main()
