"""Are heatmaps faithful, and do they fall on the animal? Every explainer next to random maps, on pets with masks.

    python benchmarks/pointing.py --data SHARED [--models mobilenet vit] [--methods grad-cam ...] [--images 100]
                                  [--small | --quick] [--json FILE]

SHARED holds cats-vs-dogs, pets-with-masks and weights. `mobilenet` is mobilenet-v2-035-cats-dogs as it is; `vit` is
vit-tiny-distilled, first fine-tuned on the train split of cats-vs-dogs (once: kept in --run-dir). The predicted class
is explained. Pointing game and energy: more is on the animal. Deletion: lower is better; insertion: higher is. In
brackets: random maps at the same grid size on the same images. Gain: mean gain of deletion and insertion over them,
with its 95 % interval over the images.
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
from reporting import create_parser, create_quick_folder, describe_machine, write_json

from xaiaug import Context, Recipe, Splits, available, faithfulness, load
from xaiaug.errors import MissingExtraError, UndefinedMethodError
from xaiaug.interfaces import Classifier
from xaiaug.plugins.classifiers.transformers import TransformersClassifier
from xaiaug.quality import MEASURES, Faithfulness, summarize_map
from xaiaug.records import Explanation, Failure

LABELS = ("cat", "dog")
MODELS = {"mobilenet": "mobilenet-v2-035-cats-dogs", "vit": "vit-tiny-distilled"}
BATCH, RATE, SEED = 32, 3e-4, 0  # of the vit's fine-tuning
UNDECIDED = 2  # in the masks: the border that the annotators left open
QUICK_METHODS = ("attention-rollout", "grad-cam", "random")


def main() -> None:
    """Measures, prints and writes."""
    options = _parse_options()
    pets = Pets(options.data / "pets-with-masks", options.images)
    figures = {}
    for name in options.models:
        classifier = load_classifier(name, options)
        predicted = classifier.predict_proba(pets.images).argmax(axis=1)
        accuracy = 100 * (predicted == pets.labels).mean()
        print(f"\n{name}: {accuracy:.1f} % of {len(pets.images)} pets right", flush=True)
        figures[name] = print_table(classifier, pets, predicted.tolist(), options)
    print(f"\n{describe_machine()['summary']}")
    if options.json:
        write_json(options.json, figures, seeds=[SEED])


class Pets:
    """Pets with their masks, `count` of them, spread evenly over the manifest."""

    def __init__(self, folder: Path, count: int) -> None:
        with (folder / "manifest.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        chosen = [rows[i] for i in np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)]
        self.labels = np.array([LABELS.index(row["label"]) for row in chosen])
        self.images = [_read_image(folder / row["file"]).convert("RGB") for row in chosen]
        self.masks = [_read_mask(folder / row["mask"]) for row in chosen]


def print_table(
    classifier: Classifier, pets: Pets, predicted: list[int], options: argparse.Namespace
) -> dict[str, Any]:
    """Prints a row for each method that is defined for the classifier, and why the others are not."""
    print(f"{'method':<22}" + "".join(f"{name:>16}" for name in MEASURES) + f"{'gain':>27}  {'s':>5}")
    figures: dict[str, Any] = {}
    undefined: dict[str, str] = {}
    first: Faithfulness | None = None
    for method in options.methods or [info.name for info in available("explainer") if info.name != "auto"]:
        try:
            explanations, seconds = _time_explainer(method, classifier, pets, predicted)
        except (UndefinedMethodError, MissingExtraError) as error:
            undefined[method] = str(error)
            continue
        budget = {"steps": options.steps, "random_maps": options.random_maps}
        scores = faithfulness(classifier, pets.images, explanations, masks=pets.masks, **budget)
        first = first or scores
        figures[method] = _figures(scores, explanations, seconds)
        print(_row(method, scores, seconds), flush=True)
    if first is not None:
        means = "".join(f"{np.nanmean(first.measures[name].random):16.3f}" for name in MEASURES)
        print(f"{'(random maps)':<22}{means}")
    for method, reason in undefined.items():
        print(f"{method}: {reason}")
    return {"methods": figures, "not_defined": undefined}


def _time_explainer(
    method: str, classifier: Classifier, pets: Pets, predicted: list[int]
) -> tuple[list[Explanation | Failure], float]:
    """The explanations, and seconds an image."""
    explainer = load("explainer", method)
    explainer.explain(classifier, pets.images[:1], predicted[:1])  # layers are looked up once
    began, explanations = time.perf_counter(), []
    for start in range(0, len(pets.images), explainer.batch_size):
        part = slice(start, start + explainer.batch_size)
        explanations += explainer.explain(classifier, pets.images[part], predicted[part])
    return explanations, (time.perf_counter() - began) / len(pets.images)


def _row(method: str, scores: Faithfulness, seconds: float) -> str:
    cells = ""
    for name in MEASURES:
        measure = scores.measures[name]
        cells += f"{np.nanmean(measure.values):8.3f} ({np.nanmean(measure.random):.3f})".rjust(16)
    low, high = scores.interval() or (float("nan"), float("nan"))
    gain = f"{scores.gains.mean():+.3f} [{low:+.3f}, {high:+.3f}]"
    return f"{method:<22}{cells}{gain:>27}  {seconds:5.3f}"


def _figures(scores: Faithfulness, explanations: list[Explanation | Failure], seconds: float) -> dict[str, Any]:
    maps = [summarize_map(item) for item in explanations if isinstance(item, Explanation)]
    measures = {}
    for name, measure in scores.measures.items():
        means = {"mean": float(np.nanmean(measure.values)), "random": float(np.nanmean(measure.random))}
        measures[name] = {**means, "gain": measure.gain, "interval": measure.interval()}
    medians = {
        name: float(np.nanmedian([getattr(summary, name) for summary in maps]))
        for name in ("entropy", "top_share", "border_share")
    }
    return {
        "images": scores.images,
        "outcome": scores.outcome,
        "gain": float(scores.gains.mean()),
        "interval": scores.interval(),
        "seconds": seconds,
        **measures,
        **medians,
    }


def load_classifier(name: str, options: argparse.Namespace) -> Classifier:
    """The MobileNetV2 as it is, or the ViT after fine-tuning."""
    weights = options.data / "weights" / MODELS[name]
    classifier = TransformersClassifier(str(weights))
    if name == "mobilenet":
        classifier.prepare(Context(labels=LABELS))
        return classifier
    folder = Path(options.run_dir) / f"{name}-{options.train_steps}"
    if not (folder / "config.json").exists():
        began = time.perf_counter()
        splits = Splits.from_folder(options.data / "cats-vs-dogs")
        classifier.prepare(Context(labels=splits.labels))
        recipe = Recipe(steps=options.train_steps, batch_size=BATCH, learning_rate=RATE)
        classifier.fit(splits.train, (), recipe=recipe, seed=SEED)
        classifier.save(folder)
        print(f"{name}: fine-tuned for {options.train_steps} steps in {time.perf_counter() - began:.0f} s", flush=True)
    return TransformersClassifier.load(folder)


def _read_image(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


def _read_mask(path: Path) -> NDArray[np.float32]:
    values = np.asarray(_read_image(path)).astype(np.float32)
    return np.where(values == UNDECIDED, np.nan, values).astype(np.float32)


def _parse_options() -> argparse.Namespace:
    parser = create_parser(
        __doc__, quick="3 images, 3 steps and the vit alone", small="12 images and 5 steps: about a minute"
    )
    parser.add_argument(
        "--data", type=Path, required=True, metavar="SHARED", help="holds photographs, masks and weights"
    )
    parser.add_argument("--models", nargs="+", choices=list(MODELS))
    parser.add_argument("--methods", nargs="+", help="names of explainers; default: all that are defined for the model")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--steps", type=int, default=10, help="deletions and insertions an image")
    parser.add_argument("--random-maps", type=int, default=1)
    parser.add_argument("--train-steps", type=int, default=250, help=f"of the vit, {BATCH} photographs each")
    parser.add_argument("--run-dir", default="runs/benchmark-pointing", metavar="DIR")
    options = parser.parse_args()
    if options.quick:
        options.images, options.steps, options.train_steps = 3, 3, 1
        options.methods = options.methods or list(QUICK_METHODS)
        options.models, options.run_dir = options.models or ["vit"], create_quick_folder()
    if options.small:
        options.images, options.steps, options.train_steps = min(options.images, 12), min(options.steps, 5), 8
    options.models = options.models or list(MODELS)
    return options


if __name__ == "__main__":
    main()
