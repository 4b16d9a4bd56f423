"""What the image filter catches on photographs, and what it rejects without reason.

    python benchmarks/filter.py --data SHARED [--pairs 2000] [--only PART] [--small | --quick] [--json FILE]

SHARED holds cats-vs-dogs and weights. Copies of held photographs (guide and validation) are planted as if a synthesizer
had made them, and so are photographs under the wrong label. A false alarm is a photograph of another split that a check
rejects. Labels are checked by the classifier that `judge = "auto"` fits on the training photographs, and by a
MobileNetV2.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from reporting import create_parser, describe_machine, write_json

from xaiaug import Classifier, Context, Recipe, Sample, Splits
from xaiaug.curation import ImageFilter, Judge, near_duplicate_threshold
from xaiaug.plugins.classifiers.hog import HogClassifier
from xaiaug.plugins.classifiers.transformers import TransformersClassifier

PAIRS, SMALL, QUICK = 2000, 200, 10
COPIED = 400  # new images of which copies are made, at most
# Training images that `hog` learns from, and that show how similar distinct images are.
JUDGE_IMAGES = {"full": (4000, 300), "small": (400, 300), "quick": (60, 20)}
SEED = 0
PARTS = ("plain", "held", "synthetic", "labels")


def compress(image: Image.Image, quality: int) -> Image.Image:
    """The image after JPEG compression."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return Image.open(out).convert("RGB")


def crop(image: Image.Image, share: float) -> Image.Image:
    """The image without `share` of its width and height, off centre, at its old size."""
    width, height = image.size
    left, top = round(width * share / 3), round(height * share / 2)
    box = (left, top, left + round(width * (1 - share)), top + round(height * (1 - share)))
    return image.crop(box).resize(image.size, Image.Resampling.LANCZOS)


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "the same": lambda image: image,
    "flip": ImageOps.mirror,
    "JPEG, quality 60": lambda image: compress(image, 60),
    "JPEG, quality 30": lambda image: compress(image, 30),
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS),
    "twice the size": lambda image: image.resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC),
    "flip, half, JPEG 60": lambda image: compress(ImageOps.mirror(image).resize((64, 64)), 60),
    "crop by 5 %": lambda image: crop(image, 0.05),
    "crop by 10 %": lambda image: crop(image, 0.1),
    "crop by 20 %": lambda image: crop(image, 0.2),
    "a fifth darker": lambda image: ImageEnhance.Brightness(image).enhance(0.8),
}


class LazyImages(Sequence[Image.Image]):
    """Photographs that are opened, and changed, one by one."""

    def __init__(self, samples: Sequence[Sample], change: Callable[[Image.Image], Image.Image] = lambda i: i) -> None:
        self.samples, self.change = samples, change

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: Any) -> Any:
        return self.change(self.samples[index].open())


def main() -> None:
    """Measures, prints and writes."""
    options = _parse_options()
    splits = Splits.from_folder(options.data / "cats-vs-dogs")
    held = _sample_evenly((*splits.guide, *splits.validation), options.pairs)
    others, new = _sample_evenly(splits.train, options.pairs), _sample_evenly(splits.test, options.pairs)
    parts = [part for part in PARTS if options.only in (None, part)]
    judges = _create_judges(splits, options) if {"synthetic", "labels"} & set(parts) else []
    measures: dict[str, Callable[[], dict[str, Any]]] = {
        "plain": lambda: measure_plain(others),
        "held": lambda: measure_copies_of_held(splits, held, others),
        "synthetic": lambda: {judge.name: measure_copies_of_new(judge, new) for judge in judges},
        "labels": lambda: {judge.name: measure_wrong_labels(judge, new) for judge in judges},
    }
    figures = {"pairs": options.pairs, **{part: measures[part]() for part in parts}}
    print(f"\n{describe_machine()['summary']}")
    if options.json:
        write_json(options.json, figures, seeds=[SEED])


def measure_plain(others: Sequence[Sample]) -> dict[str, float]:
    """False alarms of the checks that look at one image alone."""
    verdicts = ImageFilter(["nan", "constant"]).check(LazyImages(others))
    rates = {name: _share([verdict.check == name for verdict in verdicts]) for name in ("broken", "nan", "constant")}
    print(f"\nbroken, nan, constant on {len(others)} photographs: false alarms {100 * sum(rates.values()):.2f} %")
    return rates


def measure_copies_of_held(splits: Splits, held: Sequence[Sample], others: Sequence[Sample]) -> dict[str, float]:
    """How many copies of held photographs `duplicate` catches, and how many others it rejects."""
    known = replace(splits, train=(), guide=tuple(held), validation=(), test=(), reserve=())
    image_filter, began = ImageFilter(["duplicate"], known), time.perf_counter()
    rates = {name: _rejected(image_filter, LazyImages(held, change)) for name, change in COPIES.items()}
    rates["false alarms"] = _rejected(image_filter, LazyImages(others))
    checked = len(held) * len(COPIES) + len(others)
    _print(f"duplicate: copies of {len(held)} held photographs", rates)
    print(f"  {1000 * (time.perf_counter() - began) / checked:.1f} ms an image")
    return rates


def measure_copies_of_new(judge: Judge, new: Sequence[Sample]) -> dict[str, float]:
    """How many copies of kept images `repeat` and `alike` catch together, and how many others `alike` rejects."""
    image_filter = ImageFilter(["repeat", "alike"], judge=judge)
    verdicts = image_filter.check(LazyImages(new))
    seen = [verdict.fingerprint for verdict in verdicts if verdict.fingerprint]
    copied = new[:: max(1, len(new) // COPIED)]
    rates = {}
    for name, change in COPIES.items():
        checks = [verdict.check for verdict in image_filter.check(LazyImages(copied, change), seen)]
        rates[f"{name}, by hash"] = _share([check == "repeat" for check in checks])
        rates[name] = _share([check is not None for check in checks])
    rates["false alarms of alike"] = _share([verdict.check == "alike" for verdict in verdicts])
    threshold = f"{judge.near_duplicate_threshold:.3f}"
    _print(
        f"repeat and alike ({judge.name}, from {threshold}): copies of {len(copied)} among {len(new)}",
        rates,
    )
    return rates


def measure_wrong_labels(judge: Judge, new: Sequence[Sample]) -> dict[str, float]:
    """How many wrong labels `label` catches, and how many right ones it rejects."""
    right = [judge.labels[sample.label] for sample in new]
    wrong = [judge.labels[1 - sample.label] for sample in new]
    image_filter, images = ImageFilter(["label"], judge=judge), LazyImages(new)
    rates = {
        "wrong labels": _share([not verdict.kept for verdict in image_filter.check(images, labels=wrong)]),
        "false alarms": _share([not verdict.kept for verdict in image_filter.check(images, labels=right)]),
    }
    predicted = judge.load().predict_proba(images).argmax(axis=1)
    rates["accuracy of the judge"] = _share(predicted == np.array([sample.label for sample in new]))
    _print(f"label ({judge.name}): {len(new)} test photographs", rates)
    return rates


def _create_judges(splits: Splits, options: argparse.Namespace) -> list[Judge]:
    hog_images, embedded = JUDGE_IMAGES["quick" if options.quick else "small" if options.small else "full"]
    hog = HogClassifier(hog_images)
    hog.prepare(Context(labels=splits.labels))
    hog.fit(splits.train, (), recipe=Recipe(), seed=SEED)
    mobilenet = TransformersClassifier(str(options.data / "weights/mobilenet-v2-035-cats-dogs"))
    mobilenet.prepare(Context(labels=splits.labels))
    train = sorted(splits.train, key=lambda sample: sample.id)
    images = [sample.open() for sample in train[:embedded]]
    return [_create_judge(name, model, images) for name, model in (("hog", hog), ("mobilenet", mobilenet))]


def _create_judge(name: str, classifier: Classifier, images: Sequence[Image.Image]) -> Judge:
    threshold = near_duplicate_threshold(classifier.embed(images))
    return Judge(name, classifier.labels, lambda: classifier, name, True, threshold)


def _rejected(image_filter: ImageFilter, images: Sequence[Image.Image]) -> float:
    return _share([not verdict.kept for verdict in image_filter.check(images)])


def _share(hits: Any) -> float:
    return float(np.mean(hits))


def _sample_evenly(samples: Sequence[Sample], count: int) -> list[Sample]:
    return list(samples[:: max(1, len(samples) // count)][:count])


def _print(title: str, rates: dict[str, float]) -> None:
    print(f"\n{title}")
    for name, rate in rates.items():
        print(f"  {name:<32} {100 * rate:6.2f} %", flush=True)


def _parse_options() -> argparse.Namespace:
    parser = create_parser(__doc__, quick=f"{QUICK} pairs", small=f"{SMALL} pairs: a minute or two")
    parser.add_argument("--data", type=Path, required=True, metavar="SHARED", help="holds cats-vs-dogs and weights")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--only", choices=PARTS, help="one part of it")
    options = parser.parse_args()
    if options.quick or options.small:
        options.pairs = QUICK if options.quick else SMALL
    return options


if __name__ == "__main__":
    main()
