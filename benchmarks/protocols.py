"""Published protocols in miniature: which remedy lifts the worst group, and does the order agree with the literature?

    python benchmarks/protocols.py [--worlds drawn-tag drawn-backdrop pets photo-tag] [--data SHARED] [--seeds 5]
                                   [--small | --quick] [--run-dir DIR] [--json FILE]

`drawn-tag` and `drawn-backdrop` are the drawn world, with a yellow tag on 95 % of the dogs and 5 % of the cats of all
splits but test, or with the usual backdrop on 95 % of the animals (as Waterbirds, 95 to 5), and the small ViT that was
pretrained on other animals. `pets` puts pets by their masks on indoor or green backdrops, 92 to 8 (as Waterbirds and
MetaShift); `photo-tag` plants the tag in cats-vs-dogs; both fine-tune vit-tiny-distilled, and need --data.

Each seed has a baseline of its own (ERM). Every method gets the same steps, batch size and learning rate, and one
setting, its published default; nothing is selected, the weights after the last step are tested. SubpopBench selects by
the worst class of validation, so its absolute figures do not compare. The groups of guide are known to `dfr`, those of
train to `group-dro` and `group-balanced`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from composed_backdrops import compose_shortcut
from planted_marks import Planting
from reporting import create_parser, create_quick_folder, describe_machine, write_json
from scipy.stats import t

from xaiaug import FeedbackLoop, Recipe, Result, Splits, petworld

ARMS = (
    *("baseline", "continued", "oversampled-train-failures", "dfr", "self", "class-balanced-head", "group-dro"),
    *("group-balanced", "masktune", "rrr", "oversampled-failures", "saliency-edit", "saliency-edit+failures"),
)
QUICK_ARMS = ("baseline", "continued", "dfr", "group-dro")
REFERENCE = "continued"
ERM = "baseline"
BIAS = 0.95
# Worst-group accuracy by rank, best first, in the tables of the papers on Waterbirds (ResNet-50).
PUBLISHED = ("dfr", "group-dro", "oversampled-train-failures", "masktune", "baseline")


@dataclass(frozen=True)
class Size:
    """How large a world is.

    Attributes:
        counts: images by split.
        steps: of the baseline, and of each arm.
        smallest_group: fewest test images of a group that may be the worst.
        pets: pets that `pets` is composed of; None: all.
        mistakes: most that are looked into.
    """

    counts: Mapping[str, int]
    steps: tuple[int, int]
    smallest_group: int = 20
    pets: int | None = None
    mistakes: int = 200


USUAL = Size({"train": 800, "guide": 800, "validation": 40, "test": 1000}, (120, 90))
SIZES = {
    "usual": USUAL,
    "small": Size({"train": 400, "guide": 400, "validation": 20, "test": 400}, (60, 40)),
    "quick": Size({"train": 32, "guide": 40, "validation": 2, "test": 24}, (2, 1), 2, 40, mistakes=4),
}


def main() -> None:
    """Measures, prints and writes."""
    options = _parse_options()
    began, figures = time.monotonic(), {}
    for name in options.worlds:
        result = run_world(name, options)
        figures[name] = summarise(result)
        print(f"\n{name}: {result.report.mistakes.found} mistakes of the first baseline on guide")
        print(format_table(figures[name]))
        for arm in result.report.left_out:
            print(f"left out: {arm.name}: {arm.reason}")
        if result.report.recommendation:
            print(result.report.recommendation.sentence)
        print(f"{time.monotonic() - began:.0f} s so far", flush=True)
    print(f"\n{describe_machine()['summary']}")
    if options.json:
        write_json(options.json, figures, seeds=range(options.seeds))


def run_world(name: str, options: argparse.Namespace) -> Result:
    """All arms on one world, with a baseline for each seed."""
    size, drawn = options.size, name.startswith("drawn")
    checkpoint = petworld.checkpoint() if drawn else options.data / "weights" / "vit-tiny-distilled"
    rates = (5e-4, 5e-4) if drawn else (3e-4, 1e-4)
    recipes = [
        Recipe(steps=steps, batch_size=32, learning_rate=rate) for steps, rate in zip(size.steps, rates, strict=True)
    ]
    loop = FeedbackLoop(
        "transformers",
        "attention-relevance",
        arms=QUICK_ARMS if options.quick else ARMS,
        seeds=tuple(range(options.seeds)),
        recipe=recipes[1],
        baseline_recipe=recipes[0],
        settings={
            "data": {"on_near_duplicate": "drop"},
            "classifier": {"checkpoint": str(checkpoint), "new_head": drawn},
            "experiment": {
                "metric": "worst-group",
                "smallest_group": size.smallest_group,
                "primary": ["dfr", "continued"],
                "vary": ["baseline"],
            },
            "mistakes": {"max": size.mistakes, "faithfulness": 0, "donors": 2000},
        },
    )
    return loop.run(make_splits(name, options), options.run_dir / f"{name}-run")


def make_splits(name: str, options: argparse.Namespace) -> Splits:
    """The images of a world, with their groups."""
    folder, counts = options.run_dir / name, dict(options.size.counts)
    if name == "pets":
        compose_shortcut(options.data / "pets-with-masks", folder, options.size.pets)
        return Splits.from_manifest(folder / "manifest.csv")
    if name == "drawn-backdrop":
        scenes = petworld.write_world(folder, sizes=counts, seed=0, bias=BIAS)
        return _name_backdrops(scenes, folder)
    if name == "drawn-tag":
        petworld.write_world(folder, sizes=counts, seed=0, bias=petworld.UNBIASED)
        photographs = Splits.from_folder(folder)
    else:
        photographs = Splits.from_folder(options.data / "cats-vs-dogs")
    return Planting("tag", BIAS, None, counts).plant(photographs, 0, folder.with_name(f"{name}-marks"))


def _name_backdrops(scenes: Mapping[str, petworld.Scene], folder: Path) -> Splits:
    """The splits of drawings, by a manifest that names the kind of each backdrop."""
    lines = ["file,label,split,group:backdrop"]
    for file, scene in scenes.items():
        kind = petworld.BACKDROPS[scene.backdrop].label
        lines.append(f"{file},{scene.animal},{file.partition('/')[0]},of {kind}s")
    manifest = folder.with_name("backdrops.csv")
    manifest.write_text("\n".join(lines) + "\n")
    return Splits.from_manifest(manifest, root=folder)


def summarise(result: Result) -> dict[str, Any]:
    """By arm: accuracy and worst group of each seed in per cent, and what labels it used."""
    arms = {}
    for arm in result.report.arms:
        scores = {seed.seed: seed for seed in arm.seeds if seed.metrics is not None}
        arms[arm.name] = {
            "accuracy": {seed: 100 * one.metrics.accuracy for seed, one in scores.items() if one.metrics},
            "worst group": {seed: 100 * one.chosen for seed, one in scores.items() if one.chosen is not None},
            "guide labels": arm.used.guide_labels,
            "group labels": arm.used.group_labels_in_training,
            "new images": sum(arm.synthetic.values()),
        }
    return arms


def format_table(arms: Mapping[str, Any]) -> str:
    """Means over the seeds, and the difference of the worst group to `continued` with its interval over the seeds."""
    lines = [
        f"{'arm':<28}{'guide labels':>13}{'group labels':>13}{'accuracy':>10}{'worst group':>13}{'over continued':>24}"
    ]
    ranked = sorted(arms, key=lambda name: -float(np.mean(list(arms[name]["worst group"].values()) or [0.0])))
    for name in ranked:
        row = arms[name]
        accuracy, worst = (float(np.mean(list(row[key].values()) or [np.nan])) for key in ("accuracy", "worst group"))
        ahead = "" if name == REFERENCE else _format_interval(_pair(arms, name, REFERENCE))
        lines.append(
            f"{name:<28}{row['guide labels']:>13}{row['group labels']:>13}{accuracy:>10.1f}{worst:>13.1f}{ahead:>24}"
        )
    if {"dfr", ERM} <= arms.keys():
        lines.append(f"dfr over {ERM} (ERM): {_format_interval(_pair(arms, 'dfr', ERM))}")
    order = [name for name in ranked if name in PUBLISHED]
    lines += [f"order here:      {', '.join(order)}", f"order published: {', '.join(PUBLISHED)}"]
    return "\n".join(lines)


def _pair(arms: Mapping[str, Any], name: str, against: str) -> list[float]:
    """The differences in the worst group, by seed."""
    one, other = (arms.get(arm, {}).get("worst group", {}) for arm in (name, against))
    return [one[seed] - other[seed] for seed in one if seed in other]


def _format_interval(values: Sequence[float]) -> str:
    if len(values) < 2:
        return f"{np.mean(values):+.1f}" if values else ""
    half = float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    mean = float(np.mean(values))
    return f"{mean:+.1f} ({mean - half:+.1f} to {mean + half:+.1f})"


WORLDS = ("drawn-tag", "drawn-backdrop", "pets", "photo-tag")


def _parse_options() -> argparse.Namespace:
    parser = create_parser(__doc__, quick="40 drawings, one seed", small="the drawn worlds, three seeds")
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, metavar="WORLD")
    parser.add_argument("--data", type=Path, metavar="SHARED", help="holds the photographs and weights")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--run-dir", type=Path, default=Path("runs/benchmark-protocols"), metavar="DIR")
    options = parser.parse_args()
    options.size = SIZES["quick" if options.quick else "small" if options.small else "usual"]
    if options.quick:
        options.seeds, options.run_dir = 1, create_quick_folder()
    if options.small:
        options.seeds, options.run_dir = (
            min(3, options.seeds),
            options.run_dir.with_name(f"{options.run_dir.name}-small"),
        )
    drawn = WORLDS[:1] if options.quick else WORLDS[:2]
    options.worlds = options.worlds or (WORLDS if options.data and not (options.quick or options.small) else drawn)
    if options.data is None and set(options.worlds) & {"pets", "photo-tag"}:
        parser.error("the worlds pets and photo-tag need --data")
    return options


if __name__ == "__main__":
    main()
