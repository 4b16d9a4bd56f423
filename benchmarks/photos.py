"""Do images made from mistakes help on photographs? Control arms, three seeds, a verdict.

    python benchmarks/photos.py --data SHARED [--start weak strong shortcut] [--seeds 3] [--full] [--quick]

SHARED holds cats-vs-dogs, pets-with-masks and weights. `weak` fine-tunes vit-tiny-distilled on all 8,000 photographs;
`strong` gives mobilenet-v2-035-cats-dogs a new head and few photographs, so that 8 to 15 % are wrong; `shortcut` is
composed from pets-with-masks: in training cats mostly on indoor backdrops and dogs mostly on green ones, test balanced,
judged by its worst group. At most 3,000 image passes an arm and 4,000 test photographs unless --full. `more-real` is
trained at several sizes besides: how many real images are the new ones worth? Resumable: the same command goes on.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter
from reporting import machine, write_json

from xaiaug import FeedbackLoop, Recipe, Result, Sample, Splits, arms, load
from xaiaug.interfaces import Classifier
from xaiaug.plugins._image_stats import lab_to_rgb
from xaiaug.plugins.classifiers.transformers import TransformersClassifier
from xaiaug.plugins.synthesizers._backdrop import remove_subject

ARMS = (*arms.SETS["standard"], "shuffled-map", "unguided", "more-real")
TEST, BATCH = 4000, 32
SIZES = (0.25, 2.0)  # real images for each new one; the arm `more-real` is 1.0
SIDE, BIAS = 128, 0.92


@dataclass(frozen=True)
class Start:
    """Where a benchmark starts from.

    Attributes:
        checkpoint: below weights/.
        new_head: whether its head is replaced.
        few: training photographs a class; None: all. The rest is the reserve.
        passes: image passes of the baseline and of each arm.
        validation: images the curves are drawn on.
        rates: learning rates of the baseline and of the arms.
        metric: what the verdict is about.
    """

    checkpoint: str
    new_head: bool
    few: int | None
    passes: int
    validation: int
    rates: tuple[float, float]
    metric: str = "accuracy"


STARTS = {
    "weak": Start("vit-tiny-distilled", False, 3000, 3000, 500, (3e-4, 1e-4)),
    "strong": Start("mobilenet-v2-035-cats-dogs", True, 60, 1024, 50, (1e-3, 3e-4)),
    "shortcut": Start("vit-tiny-distilled", False, None, 3000, 500, (3e-4, 1e-4), "worst-group"),
}


def main() -> None:
    options = _options()
    began, told = time.monotonic(), {}
    for name in options.start:
        start = STARTS[name]
        splits = _splits(name, start, options)
        result = run(name, start, splits, options)
        print(f"\n{name}: {result.report.mistakes.found} mistakes on {len(splits.guide)} guide images")
        print(result.table())
        verdict = result.report.verdict
        print(verdict.sentence if verdict else "no verdict: fewer than three seeds")
        sizes = more_real(start, splits, result, options) if splits.reserve else {}
        for share, accuracy in sorted(sizes.items()):
            print(f"{share:g} real images for each new one: {100 * accuracy:.1f}")
        if sizes:
            print(worth(sizes, result))
        print(f"{time.monotonic() - began:.0f} s so far", flush=True)
        told[name] = {"report": result.report.model_dump(mode="json", include={"arms", "verdict"}), "more_real": sizes}
    print(f"\n{time.monotonic() - began:.0f} s; {machine()['summary']}")
    if options.json:
        write_json(options.json, told)


def run(name: str, start: Start, splits: Splits, options: argparse.Namespace) -> Result:
    """The loop with all arms that can show something here."""
    uses = load("synthesizer", "remix").uses
    chosen = [row for row in ARMS if not arms.lacking(arms.ROWS[row], uses, bool(splits.reserve))]
    baseline, recipe = _recipes(start, options)
    loop = FeedbackLoop(
        "transformers",
        arms=chosen,
        seeds=tuple(range(options.seeds)),
        recipe=recipe,
        baseline_recipe=baseline,
        settings={
            "classifier": {"checkpoint": str(_weights(start, options)), "new_head": start.new_head},
            "experiment": {"metric": start.metric, "test_explanation": True},
        },
    )
    return loop.run(splits, Path(options.run_dir) / name)


def more_real(start: Start, splits: Splits, result: Result, options: argparse.Namespace) -> dict[float, float]:
    """Accuracy, mean over the seeds, with so many real images of the reserve for each new one."""
    arms_of = {arm.name: arm for arm in result.report.arms}
    made = arms_of["generated+training"].synthetic
    found = {}
    for share in SIZES:
        count = {splits.labels.index(label): round(share * n) for label, n in made.items()}
        further = _first(splits.reserve, count)
        if len(further) == sum(count.values()):
            larger = replace(splits, train=(*splits.train, *further), reserve=())
            found[share] = float(np.mean([_kept(share, seed, start, larger, options) for seed in range(options.seeds)]))
    same = [seed.metrics.accuracy for seed in arms_of["more-real"].seeds if seed.metrics]
    return found | ({1.0: float(np.mean(same))} if same else {})


def worth(sizes: dict[float, float], result: Result) -> str:
    """How many real images a new one is worth, by the means over the seeds; more real images must help for that."""
    reached = {arm.name: [seed.metrics.accuracy for seed in arm.seeds if seed.metrics] for arm in result.report.arms}
    mean = {name: float(np.mean(found)) for name, found in reached.items() if found}
    shares, ladder = zip(*sorted({0.0: mean["continued"], **sizes}.items()), strict=True)
    goal = mean["generated+training"]
    if goal < min(ladder):
        return "A new image is worth no real one: without new images the accuracy is higher."
    if not np.all(np.diff(ladder) > 0):
        return "More real images do not help at every step here: what a new image is worth cannot be told."
    if goal > ladder[-1]:
        return f"A new image is worth more than {shares[-1]:g} real ones."
    return f"A new image is worth about {np.interp(goal, ladder, shares):.2f} real ones."


def _kept(share: float, seed: int, start: Start, larger: Splits, options: argparse.Namespace) -> float:
    """Accuracy of one training with more real images; read from the folder when it is there."""
    folder = Path(options.run_dir)
    told = folder / "more-real" / f"{start.checkpoint}-{share:g}-{seed}.json"
    if not told.exists():
        name = next(name for name, row in STARTS.items() if row is start)
        classifier = TransformersClassifier.load(folder / name / "models" / "baseline" / "0")
        classifier.fit(larger.train, larger.validation, recipe=_recipes(start, options)[1], seed=seed)
        told.parent.mkdir(exist_ok=True)
        told.write_text(json.dumps(_accuracy(classifier, larger.test)))
    return float(json.loads(told.read_text()))


def _accuracy(classifier: Classifier, samples: Sequence[Sample]) -> float:
    hits = 0
    for at in range(0, len(samples), 256):
        part = samples[at : at + 256]
        predicted = classifier.predict_proba([sample.open() for sample in part]).argmax(axis=1)
        hits += int((predicted == [sample.label for sample in part]).sum())
    return hits / len(samples)


def _recipes(start: Start, options: argparse.Namespace) -> tuple[Recipe, Recipe]:
    steps = (64 if options.quick else start.passes) // BATCH * (4 if options.full else 1)
    half = {"bf16": True}  # twice as fast where the processor has it
    recipes = [Recipe(steps=steps, batch_size=BATCH, learning_rate=rate, trainer=half) for rate in start.rates]
    return recipes[0], recipes[1]


def _splits(name: str, start: Start, options: argparse.Namespace) -> Splits:
    if name == "shortcut":
        folder = Path(options.run_dir) / "composed"
        compose(Path(options.data) / "pets-with-masks", folder)
        return Splits.from_manifest(folder / "manifest.csv")
    splits = Splits.from_folder(Path(options.data) / "cats-vs-dogs")
    test = len(splits.test) if options.full else 100 if options.quick else TEST
    curves = splits.validation[:: len(splits.validation) // start.validation]
    cut = replace(splits, test=splits.test[:: len(splits.test) // test][:test], validation=curves)
    if options.quick:
        cut = replace(cut, guide=cut.guide[::10], validation=cut.validation[::10])
    if start.few is None:
        return cut
    train = _first(splits.train, dict.fromkeys(range(2), 30 if options.quick else start.few))
    kept = {sample.id for sample in train}
    return replace(cut, train=train, reserve=tuple(sample for sample in splits.train if sample.id not in kept))


def _first(samples: Sequence[Sample], count: dict[int, int]) -> tuple[Sample, ...]:
    left, found = dict(count), []
    for sample in samples:
        if left.get(sample.label, 0):
            left[sample.label] -= 1
            found.append(sample)
    return tuple(found)


def compose(pets: Path, folder: Path) -> None:
    """Pets on other pets' backdrops: manifest.csv with split, label and the group "label on backdrop"."""
    if (folder / "manifest.csv").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (pets / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    rng = np.random.default_rng(0)
    rng.shuffle(rows)
    backdrops = _backdrops(pets, rows)
    lines, number = [], 0
    for place, row in enumerate(rows):
        split = ("test", "guide", "train", "train", "train", "guide", "validation", "test")[place % 8]
        usual = "indoor" if row["label"] == "cat" else "green"
        other = "green" if usual == "indoor" else "indoor"
        for turn in range(4):
            kind = (usual, other)[turn % 2] if split == "test" else usual if rng.random() < BIAS else other
            backdrop = backdrops[kind][rng.integers(len(backdrops[kind]))]
            number += 1
            file_name = f"{number:05d}.png"
            _paste(pets, row, backdrop).save(folder / file_name)
            lines.append([file_name, row["label"], split, f"{row['label']} on {kind}"])
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file", "label", "split", "group:place"], *lines])


def _backdrops(pets: Path, rows: list[dict[str, str]]) -> dict[str, list[Image.Image]]:
    """The greenest and the least green third of the photographs, their pets taken out."""
    found = []
    for row in rows:
        with Image.open(pets / row["file"]) as photo, Image.open(pets / row["mask"]) as mask:
            pet = (np.asarray(mask) > 0).astype(np.float32)
            if pet.mean() < 0.6:
                found.append(Image.fromarray(lab_to_rgb(remove_subject(photo, (SIDE, SIDE), pet))))
    greens = [float((np.asarray(image, np.float32) @ [-0.5, 1.0, -0.5]).mean()) for image in found]
    order, third = np.argsort(greens), len(found) // 3
    return {"indoor": [found[i] for i in order[:third]], "green": [found[i] for i in order[-third:]]}


def _paste(pets: Path, row: dict[str, str], backdrop: Image.Image) -> Image.Image:
    with Image.open(pets / row["file"]) as photo, Image.open(pets / row["mask"]) as mask:
        alpha = Image.fromarray(255 * (np.asarray(mask) == 1).astype(np.uint8)).resize((SIDE, SIDE))
        image = backdrop.copy()
        image.paste(photo.convert("RGB").resize((SIDE, SIDE)), mask=alpha.filter(ImageFilter.GaussianBlur(0.8)))
    return image


def _weights(start: Start, options: argparse.Namespace) -> Path:
    return Path(options.data) / "weights" / start.checkpoint


def _options() -> Any:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with cats-vs-dogs, pets-with-masks and weights")
    parser.add_argument("--start", nargs="+", default=list(STARTS), choices=list(STARTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--full", action="store_true", help="all test photographs and four times the passes")
    parser.add_argument("--quick", action="store_true", help="a few photographs and steps")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--run-dir", default="runs/benchmark-photos")
    options = parser.parse_args()
    if options.quick:
        options.run_dir += "-quick"
        options.seeds = 1
    return options


if __name__ == "__main__":
    main()
