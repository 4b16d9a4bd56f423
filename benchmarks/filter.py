"""What the curation filter rejects on photographs, rightly and wrongly.

    python benchmarks/filter.py --data SHARED [--pairs 2000] [--only PART] [--quick] [--json FILE]

SHARED holds cats-vs-dogs and weights. Copies of held photographs (guide and validation) are planted as if a synthesizer
had made them, and so are photographs under the wrong label. A false alarm is a photograph of another split that a check
stops. Labels are checked by what `judge = "auto"` fits on the training photographs, and by a MobileNetV2.
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
from reporting import machine, write_json

from xaiaug import Classifier, Context, Recipe, Sample, Splits
from xaiaug.curation import ImageFilter, Judge, near_duplicate_threshold
from xaiaug.plugins.classifiers.hog import HogClassifier
from xaiaug.plugins.classifiers.transformers import TransformersClassifier

QUICK = 200
PARTS = ("plain", "held", "synthetic", "labels")


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    """The image, compressed and read again."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return Image.open(out).convert("RGB")


def cropped(image: Image.Image, share: float) -> Image.Image:
    """The image without that share of its width and height, off centre, at the old size."""
    width, height = image.size
    left, top = round(width * share / 3), round(height * share / 2)
    box = (left, top, left + round(width * (1 - share)), top + round(height * (1 - share)))
    return image.crop(box).resize(image.size, Image.Resampling.LANCZOS)


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "the same": lambda image: image,
    "flip": ImageOps.mirror,
    "JPEG, quality 60": lambda image: jpeg(image, 60),
    "JPEG, quality 30": lambda image: jpeg(image, 30),
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS),
    "twice the size": lambda image: image.resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC),
    "flip, half, JPEG 60": lambda image: jpeg(ImageOps.mirror(image).resize((64, 64)), 60),
    "crop by 5 %": lambda image: cropped(image, 0.05),
    "crop by 10 %": lambda image: cropped(image, 0.1),
    "crop by 20 %": lambda image: cropped(image, 0.2),
    "a fifth darker": lambda image: ImageEnhance.Brightness(image).enhance(0.8),
}


class Opened(Sequence[Image.Image]):
    """Photographs, each opened and changed when it is asked for."""

    def __init__(self, samples: Sequence[Sample], change: Callable[[Image.Image], Image.Image] = lambda i: i) -> None:
        self.samples, self.change = samples, change

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: Any) -> Any:
        return self.change(self.samples[index].open())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="the folder that holds cats-vs-dogs and weights")
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} pairs")
    parser.add_argument("--only", choices=PARTS, help="one part of it")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    pairs = QUICK if options.quick else options.pairs
    told = {"pairs": pairs, **{part: measured(part, options, pairs) for part in PARTS if options.only in (None, part)}}
    print(f"\n{machine()['summary']}")
    if options.json:
        write_json(options.json, told)


def measured(part: str, options: argparse.Namespace, pairs: int) -> dict[str, Any]:
    """The figures of one part."""
    splits = Splits.from_folder(Path(options.data) / "cats-vs-dogs")
    held = _thinned((*splits.guide, *splits.validation), pairs)
    others, new = _thinned(splits.train, pairs), _thinned(splits.test, pairs)
    if part == "plain":
        return plain(others)
    if part == "held":
        return copies_of_held(splits, held, others)
    judges = _judges(splits, Path(options.data), options.quick)
    measure = copies_of_new if part == "synthetic" else wrong_labels
    return {name: measure(judge, new) for name, judge in judges.items()}


def plain(others: Sequence[Sample]) -> dict[str, float]:
    """False alarms of the checks that look at one image alone."""
    verdicts = ImageFilter(["nan", "constant"]).check(Opened(others))
    stopped = {name: _share([verdict.check == name for verdict in verdicts]) for name in ("broken", "nan", "constant")}
    print(f"\nbroken, nan, constant on {len(others)} photographs: false alarms {100 * sum(stopped.values()):.2f} %")
    return stopped


def copies_of_held(splits: Splits, held: Sequence[Sample], others: Sequence[Sample]) -> dict[str, float]:
    """How many copies of held photographs `duplicate` catches, and how many others it stops."""
    known = replace(splits, train=(), guide=tuple(held), validation=(), test=(), reserve=())
    image_filter, began = ImageFilter(["duplicate"], known), time.perf_counter()
    rates = {name: _stopped(image_filter, Opened(held, change)) for name, change in COPIES.items()}
    rates["false alarms"] = _stopped(image_filter, Opened(others))
    looked = len(held) * len(COPIES) + len(others)
    _print(f"duplicate: copies of {len(held)} held photographs", rates)
    print(f"  {1000 * (time.perf_counter() - began) / looked:.1f} ms an image")
    return rates


def copies_of_new(judge: Judge, new: Sequence[Sample]) -> dict[str, float]:
    """How many copies of kept images `repeat` and `alike` catch together, and how many distinct ones `alike` stops."""
    image_filter = ImageFilter(["repeat", "alike"], judge=judge)
    kept = image_filter.check(Opened(new))
    seen = [verdict.fingerprint for verdict in kept if verdict.fingerprint]
    few = new[:: max(1, len(new) // 400)]
    rates = {}
    for name, change in COPIES.items():
        found = [verdict.check for verdict in image_filter.check(Opened(few, change), seen)]
        rates[f"{name}, by hash"] = _share([check == "repeat" for check in found])
        rates[name] = _share([check is not None for check in found])
    rates["false alarms of alike"] = _share([verdict.check == "alike" for verdict in kept])
    threshold = judge.near_duplicate_threshold
    _print(f"repeat and alike ({judge.name}, from {threshold:.3f}): copies of {len(few)} among {len(new)}", rates)
    return rates


def wrong_labels(judge: Judge, new: Sequence[Sample]) -> dict[str, float]:
    """How many wrong labels `label` catches, and how many right ones it stops."""
    right = [judge.labels[sample.label] for sample in new]
    wrong = [judge.labels[1 - sample.label] for sample in new]
    image_filter, images = ImageFilter(["label"], judge=judge), Opened(new)
    rates = {
        "wrong labels": _share([not verdict.kept for verdict in image_filter.check(images, labels=wrong)]),
        "false alarms": _share([not verdict.kept for verdict in image_filter.check(images, labels=right)]),
    }
    likely = judge.load().predict_proba(images).argmax(axis=1)
    rates["accuracy of the judge"] = _share(likely == np.array([sample.label for sample in new]))
    _print(f"label ({judge.name}): {len(new)} test photographs", rates)
    return rates


def _judges(splits: Splits, data: Path, quick: bool) -> dict[str, Judge]:
    hog = HogClassifier(400 if quick else 4000)
    hog.prepare(Context(labels=splits.labels))
    hog.fit(splits.train, (), recipe=Recipe(), seed=0)
    mobile = TransformersClassifier(str(data / "weights/mobilenet-v2-035-cats-dogs"))
    mobile.prepare(Context(labels=splits.labels))
    some = [sample.open() for sample in sorted(splits.train, key=lambda sample: sample.id)[:300]]
    named: dict[str, Classifier] = {"hog": hog, "mobilenet": mobile}
    return {
        name: Judge(name, splits.labels, lambda one=one: one, name, True, near_duplicate_threshold(one.embed(some)))
        for name, one in named.items()
    }


def _stopped(image_filter: ImageFilter, images: Sequence[Image.Image]) -> float:
    return _share([not verdict.kept for verdict in image_filter.check(images)])


def _share(found: Any) -> float:
    return float(np.mean(found))


def _thinned(samples: Sequence[Sample], most: int) -> list[Sample]:
    return list(samples[:: max(1, len(samples) // most)][:most])


def _print(title: str, rates: dict[str, float]) -> None:
    print(f"\n{title}")
    for name, rate in rates.items():
        print(f"  {name:<32} {100 * rate:6.2f} %", flush=True)


if __name__ == "__main__":
    main()
