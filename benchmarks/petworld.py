"""How much of the planted shortcut the new images close, on the drawn world, with both priors.

    python benchmarks/petworld.py [--seeds 0 1 2] [--quick] [--json FILE] [--run-dir runs/benchmark]

A run a seed: the seed decides the drawings, the baseline, the synthesis and every training. The oracle is trained with
the same recipes on as many drawings without the shortcut. Gap closed = (arm - continued) / (oracle - continued), by
accuracy on the balanced test. Resumable: the same command goes on.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

from reporting import machine, write_json

from xaiaug import FeedbackLoop, Recipe, Result, Sample, Splits, load, petworld
from xaiaug.interfaces import Context
from xaiaug.store import Reader

SIZES = {"train": 2000, "guide": 6000, "validation": 200, "test": 4000}
QUICK = {"train": 300, "guide": 600, "validation": 40, "test": 200}
BASELINE = Recipe(steps=250, batch_size=16, learning_rate=5e-4)  # 4,000 image passes
ARMS = Recipe(steps=187, batch_size=16, learning_rate=5e-4)  # 2,992 image passes
PRIORS = ("biased", "uniform")


def main() -> None:
    options = _options()
    started = time.monotonic()
    seeds = options.seeds[:1] if options.quick else options.seeds
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
    splits = Splits.from_folder(world)
    rows: list[dict[str, Any]] = []
    against = {sample.id: conflicts[sample.opener.name] for sample in splits.test}
    for prior in PRIORS:
        run_dir, first = folder / f"run-{seed}-{prior}", folder / f"run-{seed}-{PRIORS[0]}"
        if first.exists() and not run_dir.exists():
            shutil.copytree(first, run_dir)  # baseline, heatmaps and critiques do not depend on the prior
        result = run(splits, seed, prior, run_dir)
        rows += [{"seed": seed, "prior": prior, **row} for row in scores(result, seed, against)]
    oracle = oracle_accuracy(splits, fair, seed, folder / f"oracle-{seed}.txt")
    return [*rows, {"seed": seed, "prior": "", "arm": "oracle", "accuracy": oracle}]


def run(splits: Splits, seed: int, prior: str, run_dir: Path) -> Result:
    """The loop with one prior."""
    loop = FeedbackLoop(
        "transformers",
        synthesizer="petworld",
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
    heads = f"{'arm':<22}{'prior':<10}{'accuracy':>10}{'lowest':>9}{'highest':>9}{'gap closed':>12}"
    lines = [heads + "   accuracy by conflicts: none, one, both"]
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["arm"], row["prior"]), []).append(row)
    for (arm, prior), group in groups.items():
        values = [row["accuracy"] for row in group]
        closed = [gap_closed(row, rows) for row in group if arm not in ("oracle", "continued")]
        gap = f"{100 * statistics.mean(closed):>11.0f}%" if closed else f"{'':>12}"
        mean, low, high = statistics.mean(values), min(values), max(values)
        lines.append(f"{arm:<22}{prior:<10}{mean:>10.3f}{low:>9.3f}{high:>9.3f}{gap}{_conflicts(group)}")
    return "\n".join(lines)


def gap_closed(row: dict[str, Any], rows: list[dict[str, Any]]) -> float:
    """(arm - continued) / (oracle - continued), within one seed and prior."""
    same = [other for other in rows if other["seed"] == row["seed"]]
    start = next(o["accuracy"] for o in same if o["arm"] == "continued" and o["prior"] == row["prior"])
    oracle = next(o["accuracy"] for o in same if o["arm"] == "oracle")
    return (row["accuracy"] - start) / (oracle - start)


def _conflicts(group: list[dict[str, Any]]) -> str:
    parts = zip(*(row["by_conflicts"] for row in group if "by_conflicts" in row), strict=True)
    return "   " + "  ".join(f"{statistics.mean(part):.3f}" for part in parts)


def _samples(folder: Path) -> list[Sample]:
    return list(Splits.from_folder(folder, guide=0.0, validation=0.0, test=0.0).train)


def _sizes(options: argparse.Namespace) -> dict[str, int]:
    return QUICK if options.quick else SIZES


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--quick", action="store_true", help="a tenth of the drawings and one seed")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--run-dir", default="runs/benchmark-petworld")
    options = parser.parse_args()
    if options.quick:
        options.run_dir += "-quick"
    return options


if __name__ == "__main__":
    main()
