"""Are heatmaps faithful, and do they fall on the animal? Every explainer beside random maps, on pets with masks.

    python benchmarks/pointing.py --data SHARED [--methods grad-cam ...] [--images 100] [--quick] [--json FILE]

SHARED holds cats-vs-dogs, pets-with-masks and weights. `mobilenet` is mobilenet-v2-035-cats-dogs as it is, `vit` is
vit-tiny-distilled, fine-tuned on the train split of cats-vs-dogs first (once: kept in --run-dir). The predicted class
is explained. Pointing game and energy: more is on the animal. Deletion: less is better; insertion: more is. In
brackets: random maps of the same grid on the same images. Gain: the mean of what deletion and insertion gain over
them, with its 95 % interval over the images.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from reporting import machine, write_json

from xaiaug import Context, Recipe, Splits, available, faithfulness, load
from xaiaug.errors import MissingExtraError, UndefinedMethodError
from xaiaug.interfaces import Classifier
from xaiaug.plugins.classifiers.transformers import TransformersClassifier
from xaiaug.quality import MEASURES, Faithfulness, summarize_map
from xaiaug.records import Explanation, Failure

LABELS = ("cat", "dog")
MODELS = {"mobilenet": "mobilenet-v2-035-cats-dogs", "vit": "vit-tiny-distilled"}
BATCH, RATE = 32, 3e-4
UNDECIDED = 2  # in the masks: the zone its annotators left open


def main() -> None:
    options = _options()
    pets = Pets(Path(options.data) / "pets-with-masks", options.images)
    told = {}
    for name in options.models:
        classifier = _classifier(name, options)
        predicted = classifier.predict_proba(pets.images).argmax(axis=1)
        print(f"\n{name}: {100 * (predicted == pets.labels).mean():.1f} % of {len(pets.images)} pets right", flush=True)
        told[name] = table(classifier, pets, predicted.tolist(), options)
    print(f"\n{machine()['summary']}")
    if options.json:
        write_json(options.json, told)


class Pets:
    """So many pets, spread evenly over the manifest, with their masks."""

    def __init__(self, folder: Path, count: int) -> None:
        with (folder / "manifest.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        chosen = [rows[i] for i in np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)]
        self.labels = np.array([LABELS.index(row["label"]) for row in chosen])
        self.images = [_opened(folder / row["file"]).convert("RGB") for row in chosen]
        self.masks = [_mask(folder / row["mask"]) for row in chosen]


def table(classifier: Classifier, pets: Pets, predicted: list[int], options: argparse.Namespace) -> dict[str, Any]:
    """Prints a row for each method that is defined for the classifier, and why the others are not."""
    print(f"{'method':<22}" + "".join(f"{name:>16}" for name in MEASURES) + f"{'gain':>27}  {'s':>5}")
    told: dict[str, Any] = {}
    reasons, chance = {}, None
    for method in options.methods or [info.name for info in available("explainer") if info.name != "auto"]:
        try:
            made, seconds = _explained(method, classifier, pets, predicted)
        except (UndefinedMethodError, MissingExtraError) as error:
            reasons[method] = str(error)
            continue
        asked = {"steps": options.steps, "random_maps": options.random_maps}
        found = faithfulness(classifier, pets.images, made, masks=pets.masks, **asked)
        chance = chance or found
        told[method] = _figures(found, made, seconds)
        print(_row(method, found, seconds), flush=True)
    if chance is not None:
        means = "".join(f"{np.nanmean(chance.measures[name].random):16.3f}" for name in MEASURES)
        print(f"{'(random maps)':<22}{means}")
    for method, reason in reasons.items():
        print(f"{method}: {reason}")
    return {"methods": told, "not_defined": reasons}


def _explained(
    method: str, classifier: Classifier, pets: Pets, predicted: list[int]
) -> tuple[list[Explanation | Failure], float]:
    explainer = load("explainer", method)
    explainer.explain(classifier, pets.images[:1], predicted[:1])  # layers are looked for once
    began, found = time.perf_counter(), []
    for start in range(0, len(pets.images), explainer.batch_size):
        part = slice(start, start + explainer.batch_size)
        found += explainer.explain(classifier, pets.images[part], predicted[part])
    return found, (time.perf_counter() - began) / len(pets.images)


def _row(method: str, found: Faithfulness, seconds: float) -> str:
    cells = ""
    for name in MEASURES:
        measure = found.measures[name]
        cells += f"{np.nanmean(measure.values):8.3f} ({np.nanmean(measure.random):.3f})".rjust(16)
    low, high = found.interval() or (float("nan"), float("nan"))
    gain = f"{found.gains.mean():+.3f} [{low:+.3f}, {high:+.3f}]"
    return f"{method:<22}{cells}{gain:>27}  {seconds:5.3f}"


def _figures(found: Faithfulness, made: list[Explanation | Failure], seconds: float) -> dict[str, Any]:
    shapes = [summarize_map(one) for one in made if isinstance(one, Explanation)]
    measures = {}
    for name, measure in found.measures.items():
        means = {"mean": float(np.nanmean(measure.values)), "random": float(np.nanmean(measure.random))}
        measures[name] = {**means, "gain": measure.gain, "interval": measure.interval()}
    middle = {
        name: float(np.nanmedian([getattr(shape, name) for shape in shapes]))
        for name in ("entropy", "top_share", "border_share")
    }
    return {
        "images": found.images,
        "outcome": found.outcome,
        "gain": float(found.gains.mean()),
        "interval": found.interval(),
        "seconds": seconds,
        **measures,
        **middle,
    }


def _classifier(name: str, options: argparse.Namespace) -> Classifier:
    weights = Path(options.data) / "weights" / MODELS[name]
    kept = Path(options.run_dir) / f"{name}-{options.train_steps}"
    if name == "mobilenet":
        classifier = TransformersClassifier(str(weights))
        classifier.prepare(Context(labels=LABELS))
        return classifier
    if not (kept / "config.json").exists():
        began = time.perf_counter()
        splits = Splits.from_folder(Path(options.data) / "cats-vs-dogs")
        classifier = TransformersClassifier(str(weights))
        classifier.prepare(Context(labels=splits.labels))
        recipe = Recipe(steps=options.train_steps, batch_size=BATCH, learning_rate=RATE)
        classifier.fit(splits.train, (), recipe=recipe, seed=0)
        classifier.save(kept)
        print(f"{name}: fine-tuned for {options.train_steps} steps in {time.perf_counter() - began:.0f} s", flush=True)
    return TransformersClassifier.load(kept)


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


def _mask(path: Path) -> NDArray[np.float32]:
    values = np.asarray(_opened(path)).astype(np.float32)
    return np.where(values == UNDECIDED, np.nan, values).astype(np.float32)


def _options() -> Any:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with cats-vs-dogs, pets-with-masks and weights")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--methods", nargs="+", help="names of explainers; all that are defined for the model")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--steps", type=int, default=10, help="deletions and insertions an image")
    parser.add_argument("--random-maps", type=int, default=1)
    parser.add_argument("--train-steps", type=int, default=250, help=f"of the vit, {BATCH} photographs each")
    parser.add_argument("--quick", action="store_true", help="few images and steps")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--run-dir", default="runs/benchmark-pointing")
    options = parser.parse_args()
    if options.quick:
        options.images, options.steps, options.train_steps = min(options.images, 12), min(options.steps, 5), 8
    return options


if __name__ == "__main__":
    main()
