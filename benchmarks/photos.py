"""Do images made from mistakes help on photographs? Control arms, three seeds, a verdict.

    python benchmarks/photos.py --data SHARED
                                [--start weak strong shortcut tag date tint both weak-edits strong-edits pretrained]
                                [--seeds 3] [--full | --small | --quick] [--json FILE] [--run-dir DIR] [--jobs 1]
                                [--share 97] [--corner random | fixed] [--donors 2000] [--test N] [--arms ARM ...]

SHARED holds cats-vs-dogs, pets-with-masks and weights. `weak` fine-tunes vit-tiny-distilled on 6,000 photographs;
`strong` gives mobilenet-v2-035-cats-dogs a new head and few photographs, so that 8 to 15 % are wrong; `shortcut` is
composed from pets-with-masks: in training, cats are mostly on indoor backdrops and dogs mostly on green ones; test is
balanced, and the metric is its worst group. At most 3,000 image passes an arm and 4,000 test photographs unless --full.

The others ask whether editing what the heatmap marks helps; each seed has photographs, marks and a baseline of its own,
and --jobs seeds are run at the same time. `tag` plants a yellow tag in a corner of --share % of the dogs and of the
rest's share of the cats, `date` the orange digits that cameras print, `tint` a warm cast of the whole image; `both` is
`shortcut` with tags. `weak-edits` and `strong-edits` plant nothing and ask whether edits do harm, `strong-edits` also
whether the usual new images do beside 120 photographs: by a margin from a pilot, on 10,000 test photographs.
`pretrained` fine-tunes an ImageNet network (see `pretrained.py`) with a tag planted, a baseline for each seed, and
compares all remedies.
`more-real` is also trained at several sizes, to see how many real images a new one is worth. Rerun the same command to
resume.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from composed_backdrops import compose_shortcut
from planted import ARMS as EDIT_ARMS
from planted import World, measure_harm
from planted_marks import Planting
from pretrained import create_classifier
from reporting import create_parser, create_quick_folder, describe_machine, write_json

from xaiaug import FeedbackLoop, Recipe, Result, Sample, Splits, arms, load
from xaiaug.interfaces import Classifier
from xaiaug.plugins.classifiers.transformers import TransformersClassifier
from xaiaug.records import JSON

ARMS = (*arms.SETS["standard"], "shuffled-map", "unguided", "more-real")
QUICK_ARMS = ("baseline", "continued", "generated+training", "more-real")


@dataclass(frozen=True)
class Size:
    """How large a benchmark is.

    Attributes:
        passes: image passes of the baseline and of each arm; None: those of the start.
        factor: what they are multiplied by.
        batch: images a step.
        few: training photographs a class; None: those of the start.
        test: test photographs; None: all.
        guide_step: 10 takes every tenth guide photograph.
        validation_step: likewise.
        reserve_step: likewise, of the photographs that training leaves.
        mistakes: most mistakes that images are made from.
        pets: pets that `shortcut` is composed from; None: all.
        arms: training conditions.
        shares: real images for each new one, beside the arm `more-real`, which adds one.
        smallest_group: fewest test images of a group that may be the worst.
    """

    passes: int | None = None
    factor: int = 1
    batch: int = 32
    few: int | None = None
    test: int | None = 4000
    guide_step: int = 1
    validation_step: int = 1
    reserve_step: int = 1
    mistakes: int = 200
    pets: int | None = None
    arms: tuple[str, ...] = ARMS
    shares: tuple[float, ...] = (0.25, 2.0)
    smallest_group: int = 20


SIZES = {
    "usual": Size(),
    "full": Size(factor=4, test=None),
    "small": Size(passes=64, few=30, test=100, guide_step=10, validation_step=10, smallest_group=5),
    "quick": Size(
        passes=8,
        batch=8,
        few=12,
        test=12,
        guide_step=100,
        validation_step=10,
        reserve_step=100,
        mistakes=2,
        pets=48,
        arms=QUICK_ARMS,
        shares=(0.25,),
        smallest_group=1,
    ),
}


@dataclass(frozen=True)
class Start:
    """Where a benchmark starts from.

    Attributes:
        checkpoint: below weights/.
        new_head: whether its head is replaced.
        few: training photographs a class, the rest being the reserve; None: all.
        passes: image passes of the baseline and of each arm.
        validation: images for the curves.
        rates: learning rates of the baseline and of the arms.
        metric: what the verdict is about.
        mark: what is planted; None where no edits are asked about.
        planted: whether it is, or the start only takes its place to show what edits do without one.
        images: of guide and test, where edits are asked about.
        explainer: likewise.
    """

    checkpoint: str
    new_head: bool
    few: int | None
    passes: int
    validation: int
    rates: tuple[float, float]
    metric: str = "accuracy"
    mark: str | None = None
    planted: bool = True
    images: tuple[int, int] = (1000, 1200)
    explainer: str = "attention-relevance"


STARTS = {
    "weak": Start("vit-tiny-distilled", False, 3000, 3000, 500, (3e-4, 1e-4)),
    "strong": Start("mobilenet-v2-035-cats-dogs", True, 60, 1024, 50, (1e-3, 3e-4)),
    "shortcut": Start("vit-tiny-distilled", False, None, 3000, 500, (3e-4, 1e-4), "worst-group"),
}
STARTS |= {
    "tag": replace(STARTS["weak"], few=500, passes=2880, metric="worst-group", mark="tag"),
    "date": replace(STARTS["weak"], few=500, passes=2880, metric="worst-group", mark="date"),
    "tint": replace(STARTS["weak"], few=500, passes=2880, metric="worst-group", mark="tint"),
    "both": replace(STARTS["shortcut"], mark="tag"),
    "weak-edits": replace(STARTS["weak"], mark="tag", planted=False, images=(1500, 10_000)),
    "strong-edits": replace(STARTS["strong"], mark="tag", planted=False, images=(500, 10_000), explainer="grad-cam"),
}
PRETRAINED = "pretrained"
STARTS[PRETRAINED] = Start(
    PRETRAINED, True, 300, 640, 50, (1e-3, 3e-4), "worst-group", mark="tag", images=(600, 800), explainer="grad-cam"
)
HARM_ARMS = {
    "weak-edits": ("baseline", "continued", "saliency-edit"),
    "strong-edits": ("baseline", "continued", "saliency-edit", "generated+training"),
}
COMPOSED = ("shortcut", "both")


def main() -> None:
    """Measures, prints and writes."""
    options = _parse_options()
    began, figures = time.monotonic(), {}
    for name in options.start:
        start = STARTS[name]
        if name == PRETRAINED:
            figures[name] = compare_remedies(name, start, options)
            continue
        if start.mark:
            figures[name] = ask_about_edits(name, start, options)
            continue
        splits = load_splits(name, start, options)
        result = run_loop(name, start, splits, options)
        print(f"\n{name}: {result.report.mistakes.found} mistakes on {len(splits.guide)} guide images")
        print(result.table())
        verdict = result.report.verdict
        print(verdict.sentence if verdict else "no verdict: fewer than three seeds")
        by_share = train_with_more_real(name, start, splits, result, options) if splits.reserve else {}
        for share, accuracy in sorted(by_share.items()):
            print(f"{share:g} real images for each new one: {100 * accuracy:.1f}")
        if by_share:
            print(compare_with_real(by_share, result))
        print(f"{time.monotonic() - began:.0f} s so far", flush=True)
        report = result.report.model_dump(mode="json", include={"arms", "verdict"})
        figures[name] = {"report": report, "more_real": by_share}
    print(f"\n{time.monotonic() - began:.0f} s; {describe_machine()['summary']}")
    if options.json:
        write_json(options.json, figures, seeds=range(options.seeds))


def ask_about_edits(name: str, start: Start, options: argparse.Namespace) -> dict[str, object]:
    """Accuracy and worst group with edits, and with what they are compared with."""
    world, seeds = plant(name, start, options), range(options.seeds)
    if not start.planted:
        print(f"\n{name}: nothing is planted; the pilot:")
        return measure_harm(replace(world, arms=HARM_ARMS[name]), seeds, options.jobs)
    print(
        f"\n{name}: {start.mark} on {options.share:g} % of the dogs, {options.corner} corner, {options.donors} edited"
    )
    return dict(world.measure(seeds, options.jobs))


def compare_remedies(name: str, start: Start, options: argparse.Namespace) -> dict[str, object]:
    """Every remedy that applies, with a baseline for each seed, and which one to take."""
    world = plant(name, start, options)
    folder, photographs = world.folder / "remedies", world.photographs
    halves = replace(photographs, train=photographs.train[::2], reserve=photographs.train[1::2])
    planting = replace(world.planting, counts={**world.planting.counts, "reserve": world.planting.counts["train"]})
    splits = planting.plant(halves, 0, folder / "marks")
    loop = FeedbackLoop(
        create_classifier(splits.labels),
        start.explainer,
        arms="remedies",
        seeds=tuple(range(options.seeds)),
        recipe=world.recipes[1],
        baseline_recipe=world.recipes[0],
        settings={
            "data": {"on_near_duplicate": "drop"},
            "experiment": {
                "metric": start.metric,
                "smallest_group": world.smallest_group,
                "primary": ["saliency-edit", "continued"],
                "vary": ["baseline"],
            },
            "mistakes": {"max": options.size.mistakes, "faithfulness": 0, "donors": options.donors},
        },
    )
    result = loop.run(splits, folder / "run")
    print(f"\n{name}: a tag on {options.share:g} % of the dogs, {result.report.mistakes.found} mistakes")
    print(result.table())
    for arm in result.report.left_out:
        print(f"left out: {arm.name}: {arm.reason}")
    print(result.conclusion, flush=True)
    return {"report": result.report.model_dump(mode="json", include={"arms", "left_out", "verdict", "recommendation"})}


def plant(name: str, start: Start, options: argparse.Namespace) -> World:
    """The world of a start with a mark, as large as the size says."""
    size, (guide, test) = options.size, start.images
    few, most = size.few or start.few, size.test if options.quick or options.small else options.test
    photographs = _compose(options) if name in COMPOSED else Splits.from_folder(options.data / "cats-vs-dogs")
    counts = {"train": 2 * few if few else len(photographs.train), "guide": guide // size.guide_step, "validation": 0}
    return World(
        classifier={"checkpoint": str(options.data / "weights" / start.checkpoint), "new_head": start.new_head},
        explainer=start.explainer,
        photographs=photographs,
        planting=Planting(
            mark=start.mark or "",
            share=options.share / 100 if start.planted else None,
            corner="top-left" if options.corner == "fixed" else None,
            counts={**counts, "test": min(test, most or test)},
        ),
        recipes=_recipes(start, size, {}),
        arms=options.arms,
        metric=start.metric,
        smallest_group=size.smallest_group,
        donors=options.donors,
        edits={},
        folder=options.run_dir / f"{name}-{options.share:g}-{options.corner}-{options.donors}",
    )


def run_loop(name: str, start: Start, splits: Splits, options: argparse.Namespace) -> Result:
    """The loop with all arms that can show something here."""
    remix = load("synthesizer", "remix")
    possible = [
        arm
        for arm in options.size.arms
        if not arms.missing_requirement(arms.ROWS[arm], remix, arms.Available(reserve=bool(splits.reserve)))
    ]
    baseline, recipe = _recipes(start, options.size)
    loop = FeedbackLoop(
        "transformers",
        arms=possible,
        seeds=tuple(range(options.seeds)),
        recipe=recipe,
        baseline_recipe=baseline,
        settings={
            "classifier": {"checkpoint": str(options.data / "weights" / start.checkpoint), "new_head": start.new_head},
            "experiment": {
                "metric": start.metric,
                "smallest_group": options.size.smallest_group,
                "test_explanation": not options.quick,
            },
            "mistakes": {"max": options.size.mistakes},
        },
    )
    return loop.run(splits, options.run_dir / name)


def train_with_more_real(
    name: str, start: Start, splits: Splits, result: Result, options: argparse.Namespace
) -> dict[float, float]:
    """Mean accuracy over the seeds, by how many real images of the reserve are added for each new one."""
    by_name = {arm.name: arm for arm in result.report.arms}
    new_images = by_name["generated+training"].synthetic
    accuracies = {}
    for share in options.size.shares:
        count = {splits.labels.index(label): round(share * n) for label, n in new_images.items()}
        added = _take_first(splits.reserve, count)
        if len(added) == sum(count.values()):
            larger = replace(splits, train=(*splits.train, *added), reserve=())
            of_seeds = [_train_once(name, start, larger, share, seed, options) for seed in range(options.seeds)]
            accuracies[share] = float(np.mean(of_seeds))
    same = [seed.metrics.accuracy for seed in by_name["more-real"].seeds if seed.metrics]
    return accuracies | ({1.0: float(np.mean(same))} if same else {})


def compare_with_real(by_share: dict[float, float], result: Result) -> str:
    """How many real images a new one is worth, by the means over the seeds, where more real images help at all."""
    scores = {arm.name: [seed.metrics.accuracy for seed in arm.seeds if seed.metrics] for arm in result.report.arms}
    mean = {name: float(np.mean(values)) for name, values in scores.items() if values}
    shares, ladder = zip(*sorted({0.0: mean["continued"], **by_share}.items()), strict=True)
    goal = mean["generated+training"]
    if goal < min(ladder):
        return "A new image is worth no real one: accuracy is higher without new images."
    if not np.all(np.diff(ladder) > 0):
        return "Inconclusive: more real images do not help at every step here, so a new image cannot be priced in them."
    if goal > ladder[-1]:
        return f"A new image is worth more than {shares[-1]:g} real ones."
    return f"A new image is worth about {np.interp(goal, ladder, shares):.2f} real ones."


def _train_once(name: str, start: Start, larger: Splits, share: float, seed: int, options: argparse.Namespace) -> float:
    """Accuracy of one training with more real images; read from the run folder where it is."""
    cache = options.run_dir / "more-real" / f"{start.checkpoint}-{share:g}-{seed}.json"
    if not cache.exists():
        classifier = TransformersClassifier.load(options.run_dir / name / "models" / "baseline" / "0")
        classifier.fit(larger.train, larger.validation, recipe=_recipes(start, options.size)[1], seed=seed)
        cache.parent.mkdir(exist_ok=True)
        cache.write_text(json.dumps(_accuracy(classifier, larger.test)))
    return float(json.loads(cache.read_text()))


def _accuracy(classifier: Classifier, samples: Sequence[Sample]) -> float:
    hits = 0
    for at in range(0, len(samples), 256):
        part = samples[at : at + 256]
        predicted = classifier.predict_proba([sample.open() for sample in part]).argmax(axis=1)
        hits += int((predicted == [sample.label for sample in part]).sum())
    return hits / len(samples)


HALF = {"bf16": True}  # twice as fast where the processor has it, ten times slower where it has not


def _recipes(start: Start, size: Size, trainer: Mapping[str, JSON] = HALF) -> tuple[Recipe, Recipe]:
    steps = (size.passes or start.passes) // size.batch * size.factor
    recipes = [Recipe(steps=steps, batch_size=size.batch, learning_rate=rate, trainer=trainer) for rate in start.rates]
    return recipes[0], recipes[1]


def load_splits(name: str, start: Start, options: argparse.Namespace) -> Splits:
    """The photographs of a start, as many as the size says."""
    size = options.size
    if name in COMPOSED:
        return _compose(options)
    splits = Splits.from_folder(options.data / "cats-vs-dogs")
    test = size.test or len(splits.test)
    curves = splits.validation[:: len(splits.validation) // start.validation]
    splits = replace(
        splits,
        test=splits.test[:: len(splits.test) // test][:test],
        guide=splits.guide[:: size.guide_step],
        validation=curves[:: size.validation_step],
    )
    if start.few is None:
        return splits
    train = _take_first(splits.train, dict.fromkeys(range(2), size.few or start.few))
    ids = {sample.id for sample in train}
    reserve = tuple(sample for sample in splits.train if sample.id not in ids)
    return replace(splits, train=train, reserve=reserve[:: size.reserve_step])


def _compose(options: argparse.Namespace) -> Splits:
    folder = options.run_dir / "composed"
    compose_shortcut(options.data / "pets-with-masks", folder, options.size.pets)
    return Splits.from_manifest(folder / "manifest.csv")


def _take_first(samples: Sequence[Sample], count: dict[int, int]) -> tuple[Sample, ...]:
    """The first `count` samples of each label, in order."""
    left, first = dict(count), []
    for sample in samples:
        if left.get(sample.label, 0):
            left[sample.label] -= 1
            first.append(sample)
    return tuple(first)


def _parse_options() -> argparse.Namespace:
    parser = create_parser(
        __doc__,
        quick="a dozen photographs, one step, one seed, `weak` alone",
        small="few photographs and steps, one seed",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="SHARED", help="holds the photographs and weights")
    parser.add_argument("--start", nargs="+", choices=list(STARTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--full", action="store_true", help="all test photographs and four times the passes")
    parser.add_argument("--jobs", type=int, default=1, help="seeds at the same time, of starts with a mark")
    parser.add_argument("--share", type=float, default=97, help="per cent of the dogs that have the mark")
    parser.add_argument("--corner", choices=("random", "fixed"), default="random", help="of the tags")
    parser.add_argument("--donors", type=int, default=2000, help="most training images that are edited")
    parser.add_argument("--test", type=int, metavar="N", help="most test photographs, of starts with a mark")
    parser.add_argument("--arms", nargs="+", metavar="ARM", help="of starts with a mark")
    parser.add_argument("--run-dir", default="runs/benchmark-photos", metavar="DIR")
    options = parser.parse_args()
    options.start = options.start or (["weak"] if options.quick else [name for name in STARTS if name != PRETRAINED])
    name = next((name for name in ("quick", "small", "full") if getattr(options, name)), "usual")
    options.size = SIZES[name]
    if name in ("quick", "small"):
        options.seeds = 1
        options.run_dir = create_quick_folder() if options.quick else f"{options.run_dir}-small"
    options.run_dir = Path(options.run_dir)
    options.arms = options.arms or EDIT_ARMS[: 4 if options.quick else None]
    return options


if __name__ == "__main__":
    main()
