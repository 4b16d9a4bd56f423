"""How many new images may stand beside a real one? A dose curve in two worlds to choose and one to confirm.

    python benchmarks/dose.py [--data SHARED] [--world drawn few weak] [--seeds 5] [--small | --quick]
                              [--json FILE] [--run-dir DIR]

Every row trains on the same real and new images with equally many passes, of which new images take 0 (`continued`),
0.1, 0.25, 0.5, 1 and 4 for each real one. `drawn` is the drawn world with its shortcut, where new images help. `few`
is the `strong` start of photos.py at 128 pixels: MobileNetV2 with a new head and 120 photographs of cats and dogs.
`weak` is vit-tiny-distilled with 600 photographs. Photographs need SHARED, which holds cats-vs-dogs and weights.
Baseline and new images are made once in each world; a seed decides which new images are drawn, and the training.

The ratio that is chosen is the one whose largest loss of accuracy against the best row of its world, over `drawn` and
`few`, is smallest. `weak` confirms it if it is not shown to be worse than `continued` there. Seeds are measured one
after another, all worlds in turn; rerun the same command to resume: finished trainings are read from the run folder.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import photos
from planted import format_interval
from reporting import create_parser, create_quick_folder, describe_machine, write_json

from xaiaug import Arm, FeedbackLoop, ImageSource, Recipe, Sample, Splits, arms, petworld
from xaiaug.metrics import evaluate
from xaiaug.plugins.classifiers.transformers import TransformersClassifier
from xaiaug.records import JSON

CONTINUED = "continued"
RATIOS = (0.1, 0.25, 0.5, 1.0, 4.0)
CHOOSING, CONFIRMING = ("drawn", "few"), "weak"
SIDE, CURVES = 128, 8  # pixels of photographs; images of curves that nothing is read from

Scores = dict[str, dict[str, list[float]]]  # points, by row and metric, one for each seed


@dataclass(frozen=True)
class Size:
    """How large a benchmark is.

    Attributes:
        ratios: new images for each real one.
        drawings: of each split.
        few: training photographs a class.
        guide: guide photographs at most.
        test: test photographs at most.
        steps: of each training: of 16 drawings, of 32 photographs.
        baseline_steps: likewise, of the baseline.
        mistakes: most mistakes that images are made from.
        images: new images a class at most.
    """

    ratios: tuple[float, ...] = RATIOS
    drawings: Mapping[str, int] = None  # type: ignore[assignment]
    few: int = 60
    guide: int = 750
    test: int = 600
    steps: tuple[int, int] = (94, 16)
    baseline_steps: tuple[int, int] = (125, 16)
    mistakes: int = 100
    images: int = 240


DRAWINGS = {"train": 600, "guide": 2000, "validation": 40, "test": 1000}
SIZES = {
    "usual": Size(drawings=DRAWINGS),
    "small": Size(
        drawings={"train": 200, "guide": 400, "validation": 20, "test": 200},
        guide=200,
        test=200,
        steps=(32, 4),
        baseline_steps=(64, 4),
        images=60,
    ),
    "quick": Size(
        ratios=(0.5,),
        drawings={"train": 32, "guide": 48, "validation": 4, "test": 24},
        steps=(2, 1),
        baseline_steps=(2, 1),
        mistakes=4,
        images=8,
    ),
}


@dataclass(frozen=True)
class World:
    """Images, a classifier, and how it is trained on them.

    Attributes:
        splits: its images.
        classifier: settings of the classifier.
        synthesizer: of the new images.
        recipes: of the baseline, and of each row.
    """

    splits: Splits
    classifier: Mapping[str, JSON]
    synthesizer: str
    recipes: tuple[Recipe, Recipe]


def draw_world(options: argparse.Namespace) -> World:
    """Drawings with a shortcut of coat and backdrop, and the small ViT that knows them."""
    folder = options.run_dir / "drawings"
    petworld.write_world(folder, sizes=options.size.drawings, seed=0)
    checkpoint = {"checkpoint": str(petworld.checkpoint())}
    return World(Splits.from_folder(folder), checkpoint, "petworld", _recipes(options, 0, (5e-4, 5e-4), 16))


def take_few(options: argparse.Namespace) -> World:
    """The `strong` start of photos.py with photographs of their own size, not enlarged to 224 pixels."""
    return _take_photographs(options, "strong", options.size.few, lambda path: _reduce_side(path, options.run_dir))


def take_weak(options: argparse.Namespace) -> World:
    """The `weak` start of photos.py with fewer photographs."""
    return _take_photographs(options, "weak", 5 * options.size.few, lambda path: path, factor=(3, 2))


def _take_photographs(
    options: argparse.Namespace,
    name: str,
    a_class: int,
    find_checkpoint: Callable[[Path], Path],
    factor: tuple[int, int] = (1, 1),
) -> World:
    """A start of photos.py with so many training photographs a class, and times the usual steps."""
    start, size = photos.STARTS[name], options.size
    of_photos = replace(photos.SIZES["usual"], few=a_class, test=size.test)
    inner = argparse.Namespace(data=options.data, size=of_photos, run_dir=options.run_dir)
    splits = photos.load_splits(name, replace(start, few=a_class), inner)
    guide = splits.guide[:: max(1, len(splits.guide) // size.guide)][: size.guide]
    curves = splits.validation[:: max(1, len(splits.validation) // CURVES)]
    checkpoint = find_checkpoint(options.data / "weights" / start.checkpoint)
    classifier = {"checkpoint": str(checkpoint), "new_head": start.new_head}
    recipes = _recipes(options, 1, start.rates, 32, factor)
    return World(replace(splits, guide=guide, validation=curves, reserve=()), classifier, "remix", recipes)


def _reduce_side(checkpoint: Path, run_dir: Path) -> Path:
    """A copy of a checkpoint whose processor does not enlarge the photographs."""
    copy = run_dir / f"{checkpoint.name}-{SIDE}"
    if not copy.exists():
        shutil.copytree(checkpoint, copy)
        path = copy / "preprocessor_config.json"
        settings = json.loads(path.read_text(encoding="utf-8"))
        settings |= {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
        path.write_text(json.dumps(settings), encoding="utf-8")
    return copy


def _recipes(
    options: argparse.Namespace, kind: int, rates: tuple[float, float], batch: int, factor: tuple[int, int] = (1, 1)
) -> tuple[Recipe, Recipe]:
    steps = (options.size.baseline_steps[kind] * factor[0], options.size.steps[kind] * factor[1])
    baseline, arm = (
        Recipe(steps=count, batch_size=batch, learning_rate=rate) for count, rate in zip(steps, rates, strict=True)
    )
    return baseline, arm


WORLDS: dict[str, Callable[[argparse.Namespace], World]] = {
    "drawn": draw_world,
    "few": take_few,
    "weak": take_weak,
}


def main() -> None:
    """Measures, prints and writes."""
    options = _parse_options()
    began = time.monotonic()
    worlds = {name: WORLDS[name](options) for name in options.world}
    figures: dict[str, Scores] = {name: {} for name in worlds}
    for seed in range(options.seeds):
        for name, world in worlds.items():
            for row, scores in measure(world, seed, options.run_dir / name, options.size).items():
                for metric, value in scores.items():
                    figures[name].setdefault(row, {}).setdefault(metric, []).append(value)
            print(f"\n{name}, {seed + 1} seeds, {time.monotonic() - began:.0f} s so far\n{format_curve(figures[name])}")
            if options.json:
                write_json(options.json, {"worlds": figures}, seeds=range(seed + 1))
    if set(CHOOSING) <= set(figures):
        print(f"\n{choose(figures)}")
    print(f"\n{time.monotonic() - began:.0f} s; {describe_machine()['summary']}")


def measure(world: World, seed: int, folder: Path, size: Size) -> dict[str, dict[str, float]]:
    """Points of each row with one seed, by metric."""
    new = make_new_images(world, folder / "images", size)
    doses = [
        Arm(f"{ratio:g}", f"{ratio:g} new images for each real one", images=ImageSource(), synthetic_ratio=ratio)
        for ratio in size.ratios
    ]
    trained = {arm.name: _train_once(world, arm, new, seed, folder) for arm in (arms.ROWS[CONTINUED], *doses)}
    return {"baseline": _test_once(world, folder)} | trained


def make_new_images(world: World, run_dir: Path, size: Size) -> Sequence[Sample]:
    """The new images of a run that ends before its arms are trained; a finished one is read from its folder."""
    loop = FeedbackLoop(
        "transformers",
        synthesizer=world.synthesizer,
        recipe=world.recipes[1],
        baseline_recipe=world.recipes[0],
        settings={
            "data": {"on_near_duplicate": "drop"},
            "classifier": dict(world.classifier),
            "experiment": {"images_per_class_max": size.images, "until": "images"},
            "mistakes": {"max": size.mistakes, "faithfulness": 0},
        },
    )
    loop.run(world.splits, run_dir)
    return Splits.from_folder(run_dir / "synthetic", guide=0.0, validation=0.0, test=0.0).train


def _train_once(world: World, arm: Arm, new: Sequence[Sample], seed: int, folder: Path) -> dict[str, float]:
    """Scores of one training, by metric; read from the folder where they are."""
    cache = folder / f"{arm.name}-{seed}.json"
    if not cache.exists():
        recipe = world.recipes[1]
        passes = recipe.steps * recipe.batch_size
        train = arms.build_training_set(arm, {"train": world.splits.train}, new, passes=passes, seed=seed)
        classifier = TransformersClassifier.load(folder / "images" / "models" / "baseline" / "0")
        classifier.fit(train, world.splits.validation, recipe=recipe, seed=seed)
        added = {"new": float(len({sample.id for sample in train} & {sample.id for sample in new}))}
        cache.write_text(json.dumps(_test(classifier, world.splits) | added), encoding="utf-8")
    return dict(json.loads(cache.read_text(encoding="utf-8")))


def _test_once(world: World, folder: Path) -> dict[str, float]:
    cache = folder / "baseline.json"
    if not cache.exists():
        baseline = TransformersClassifier.load(folder / "images" / "models" / "baseline" / "0")
        cache.write_text(json.dumps(_test(baseline, world.splits) | {"new": 0.0}), encoding="utf-8")
    return dict(json.loads(cache.read_text(encoding="utf-8")))


def _test(classifier: TransformersClassifier, splits: Splits) -> dict[str, float]:
    test = splits.test
    parts = [
        classifier.predict_proba([sample.open() for sample in test[at : at + 256]]) for at in range(0, len(test), 256)
    ]
    labels, groups = [sample.label for sample in test], [sample.groups for sample in test]
    scores = evaluate(labels, np.concatenate(parts), splits.labels, groups if any(groups) else None)
    worst = {"worst_group": 100 * scores.worst_group.accuracy} if scores.worst_group else {}
    return {"accuracy": 100 * scores.accuracy} | worst


def format_curve(figures: Scores) -> str:
    """Means over the seeds, and what each row gains over `continued`, with its 95 % interval."""
    lines = [f"{'new per real':<14}{'distinct':>10}{'accuracy':>10}{'over continued':>26}{'worst group':>26}"]
    for row, of_row in figures.items():
        means = {metric: float(np.mean(values)) for metric, values in of_row.items()}
        line = f"{row:<14}{means['new']:>10.0f}{means['accuracy']:>10.1f}"
        for metric in ("accuracy", "worst_group"):
            if metric in of_row and row != CONTINUED:
                line += f"{format_interval(gains(figures, row, metric)):>26}"
        lines.append(line)
    return "\n".join(lines)


def gains(figures: Scores, row: str, metric: str = "accuracy") -> list[float]:
    """What a row has gained over `continued`, in points, for each seed."""
    return [float(one) for one in np.subtract(figures[row][metric], figures[CONTINUED][metric])]


def choose(figures: Mapping[str, Scores]) -> str:
    """The ratio whose largest loss against the best row of its world is smallest, and whether that is confirmed."""
    rows = [row for row in figures[CHOOSING[0]] if row not in ("baseline", CONTINUED)]
    losses = {row: max(_loss(figures[name], row) for name in CHOOSING) for row in rows}
    chosen = min(rows, key=lambda row: losses[row])
    each = ", ".join(f"{row}: {loss:.1f}" for row, loss in losses.items())
    text = f"largest loss against the best row of a world, by new images for each real one: {each}\nchosen: {chosen}"
    if CONFIRMING in figures:
        text += f"; in {CONFIRMING} {format_interval(gains(figures[CONFIRMING], chosen))} over {CONTINUED}"
    return text


def _loss(figures: Scores, row: str) -> float:
    best = max(float(np.mean(of_row["accuracy"])) for of_row in figures.values())
    return best - float(np.mean(figures[row]["accuracy"]))


def _parse_options() -> argparse.Namespace:
    parser = create_parser(
        __doc__,
        quick="a few dozen drawings, two steps, one ratio, one seed",
        small="few images and steps, two seeds",
    )
    parser.add_argument("--data", type=Path, metavar="SHARED", help="holds the photographs and weights")
    parser.add_argument("--world", nargs="+", choices=list(WORLDS), help="all, or without SHARED the drawn one")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--run-dir", default="runs/benchmark-dose", metavar="DIR")
    options = parser.parse_args()
    name = next((name for name in ("quick", "small") if getattr(options, name)), "usual")
    options.size, options.seeds = SIZES[name], {"quick": 1, "small": 2}.get(name, options.seeds)
    options.world = options.world or (list(WORLDS) if options.data else ["drawn"])
    if options.data is None and options.world != ["drawn"]:
        parser.error("the worlds few and weak need --data")
    options.run_dir = Path(create_quick_folder() if options.quick else options.run_dir + "-small" * options.small)
    options.run_dir.mkdir(parents=True, exist_ok=True)
    return options


if __name__ == "__main__":
    main()
