"""Are planted causes confirmed, and others not? Tests of causes on worlds whose shortcut is known.

    python benchmarks/causes.py [--worlds drawn-tag drawn-backdrop drawn-none] [--seeds 1] [--data SHARED]
                                [--critics measured]
                                [--small | --quick] [--pictures DIR] [--json FILE]

Drawn worlds are petworld's, where coat, backdrop, light, size and place are independent of the label but for what is
planted: a yellow tag in a random corner of 97 % of the dogs and 3 % of the cats, or the backdrops of dogs on 97 % of
the dogs. On photographs (`photo-tag`, `photo-tint`, with --data) tag or tint are planted in cats-vs-dogs. The guide has
more conflicts than training, so that there are mistakes to test. `-none` worlds have the same guide as `-tag`, and a
classifier that was trained without tags. Stated are: the planted cause of each mistake that has one (right), every
mechanism that was not planted (other), and the causes of mistakes of another slice (permuted). Slices with fewer than
ten mistakes cannot be tested and are counted apart. `critics` gives at most 60 mistakes to scripted critics, one always
right, one always wrong, one with one answer, and asks those of --critics.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from planted_marks import Tag, Tint
from reporting import create_parser, describe_machine, write_json

from xaiaug import Case, Cause, Classifier, Context, Recipe, Sample, Splits, load, petworld, probe_cause
from xaiaug.causes import JudgedCause, Photo
from xaiaug.imaging.image_stats import lab_to_hex
from xaiaug.petworld.palette import names_of
from xaiaug.petworld.sampling import sample_nuisances
from xaiaug.plugins._superpixels import subject_mask
from xaiaug.plugins.classifiers.transformers import TransformersClassifier
from xaiaug.records import derive_seed
from xaiaug.records.cause import CAUSE_OUTCOMES

LABELS = petworld.LABELS
CAT, DOG = 0, 1
TRAIN_SHARE, GUIDE_SHARE = 0.97, 0.8  # of the dogs with the mark; of the cats it is one less this
KINDS = ("colour", "backdrop", "tint", "light", "sharpness", "size", "place")
YELLOW = "#ecc828"
MOST_CASES = 60
FEWEST = 10  # mistakes of a slice that can be tested
WORLDS = ("drawn-tag", "drawn-backdrop", "drawn-none", "photo-tag", "photo-tint", "photo-none")


@dataclass(frozen=True)
class Size:
    """How large a benchmark is.

    Attributes:
        train, guide: images.
        steps: of the training, of 16 drawings or 32 photographs.
        correct: correct images of the guide that are used.
    """

    train: int = 1000
    guide: int = 1200
    steps: int = 250
    correct: int = 200


SIZES = {"usual": Size(), "small": Size(800, 600, 200, 120), "quick": Size(32, 40, 2, 16)}


@dataclass(frozen=True, eq=False)
class Row:
    """One image of a world, and whether it has the mark."""

    image: Image.Image
    label: int
    marked: bool


@dataclass(frozen=True, eq=False)
class Mistakes:
    """What a classifier gets wrong, and correct images beside it: n each."""

    rows: Sequence[Row]
    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    photos: Sequence[Photo]


def main() -> None:
    """Measures, prints and writes."""
    options = _parse_options()
    figures: list[dict[str, Any]] = []
    for world in options.worlds:
        for seed in range(options.seeds):
            figures += measure_world(world, seed, options)
    _print(figures)
    print(f"\n{describe_machine()['summary']}")
    if options.json:
        write_json(options.json, {"rows": figures}, seeds=list(range(options.seeds)))


def create_world(world: str, seed: int, options: argparse.Namespace) -> tuple[Classifier, list[Row], list[Row]]:
    """A trained classifier, and the images of train and guide."""
    medium, mark = world.split("-")
    create = create_drawings if medium == "drawn" else PhotoSource(options.data)
    train = create(options.size.train, [seed, 0], mark, TRAIN_SHARE)
    guide = create(options.size.guide, [seed, 1], "tag" if mark == "none" else mark, GUIDE_SHARE)
    return fit(train, medium, seed, options), train, guide


def measure_world(world: str, seed: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each statement about the mistakes of one classifier."""
    medium, mark = world.split("-")
    classifier, train, guide = create_world(world, seed, options)
    found = find_mistakes(classifier, guide, options.size.correct)
    planted = "tag" if mark == "none" else mark
    truth = [true_cause(planted, row, photo) for row, photo in zip(found.rows, found.photos, strict=True)]
    statements: dict[str, list[Cause | None]] = {"right": truth, "permuted": permute(truth, found, seed)}
    others = [kind for kind in KINDS if kind != {"backdrop": "backdrop", "tint": "tint"}.get(mark)]
    statements |= {f"other: {kind}": [state(kind, photo) for photo in found.photos] for kind in others}
    rows = []
    for name, causes in statements.items():
        rows.append(
            {
                "world": world,
                "seed": seed,
                "statement": name,
                **probe(classifier, found, causes, options, f"{world}-{seed}-{name}"),
            }
        )
        print(rows[-1], flush=True)
    critics = script_critics(truth, found, seed) if mark != "none" else {}
    if medium == "drawn" or mark != "none":
        critics |= {name: ask_critic(name, classifier, train, found) for name in options.critics}
    for name, causes in critics.items():
        rows.append(
            {
                "world": world,
                "seed": seed,
                "statement": f"critic: {name}",
                **probe(classifier, found, causes, options, None),
            }
        )
        print(rows[-1], flush=True)
    return rows


def probe(
    classifier: Classifier,
    found: Mistakes,
    causes: Sequence[Cause | None],
    options: argparse.Namespace,
    name: str | None,
) -> dict[str, Any]:
    """Counts of outcomes over slices and cases, and seconds."""
    began = time.monotonic()
    images, labels = [row.image for row in found.rows], [row.label for row in found.rows]
    judged = probe_cause(classifier, images, labels, causes)
    seconds = time.monotonic() - began
    testable = [one for one in judged if len(one.verdict.cases) >= FEWEST]
    if options.pictures and name:
        write_strips(testable, options.pictures / name.replace(":", "").replace(" ", "-"))
    cases, slices = (dict.fromkeys(CAUSE_OUTCOMES, 0) for _ in range(2))
    for one in testable:
        slices[one.verdict.outcome] += 1
    for one in judged:
        cases[one.verdict.outcome] += len(one.verdict.cases)
    return {
        "slices": len(testable),
        **slices,
        "small slices": len(judged) - len(testable),
        "cases": cases,
        "stated": sum(len(one.verdict.cases) for one in judged),
        "seconds": round(seconds, 1),
        "sentences": [one.verdict.sentence for one in testable],
    }


def fit(train: Sequence[Row], medium: str, seed: int, options: argparse.Namespace) -> TransformersClassifier:
    """The classifier, fine-tuned from petworld's checkpoint or from the photographs' backbone."""
    drawn = medium == "drawn"
    checkpoint = petworld.checkpoint() if drawn else options.data / "weights/vit-tiny-distilled"
    classifier = TransformersClassifier(str(checkpoint))
    samples = [to_sample(row) for row in train]
    classifier.prepare(Context(labels=LABELS, train=samples))
    recipe = Recipe(steps=options.size.steps, batch_size=16 if drawn else 32, learning_rate=5e-4 if drawn else 1e-4)
    classifier.fit(samples, (), recipe=recipe, seed=seed)
    return classifier


def to_sample(row: Row) -> Sample:
    """The image as a sample."""
    return Sample(id=hashlib.sha256(row.image.tobytes()).hexdigest()[:32], label=row.label, opener=lambda: row.image)


def find_mistakes(classifier: Classifier, rows: Sequence[Row], correct: int) -> Mistakes:
    """All mistakes among the images, and so many correct ones, half of each class."""
    parts = [classifier.predict_proba([row.image for row in rows[at : at + 64]]) for at in range(0, len(rows), 64)]
    probabilities = np.concatenate(parts)
    predicted = probabilities.argmax(axis=1)
    for marked in (False, True):
        for label in (CAT, DOG):
            right = [
                p == row.label
                for p, row in zip(predicted, rows, strict=True)
                if (row.label, row.marked) == (label, marked)
            ]
            print(
                f"  {LABELS[label]} {'with' if marked else 'without'} mark: {np.mean(right):.3f} of {len(right)} right"
            )
    wrong = [i for i, row in enumerate(rows) if predicted[i] != row.label]
    right_of = [
        [i for i, row in enumerate(rows) if predicted[i] == row.label == label][: correct // 2] for label in (CAT, DOG)
    ]
    chosen = wrong + right_of[0] + right_of[1]
    photos = [Photo(str(i), rows[i].image, subject_mask) for i in chosen]
    return Mistakes([rows[i] for i in chosen], predicted[chosen], probabilities[chosen], photos)


def true_cause(mark: str, row: Row, photo: Photo) -> Cause | None:
    """The planted cause of an image: a cat with the mark, or a dog without it; else None."""
    if row.marked == (row.label == DOG):
        return None
    if mark == "tag":
        return Cause("region", row.marked, colour=YELLOW, value=0.032)
    if mark == "backdrop":
        return state("backdrop", photo)
    return state("tint", photo)


def state(kind: str, photo: Photo) -> Cause:
    """A cause of a kind, with the image's own value where it is a colour."""
    colours = {"colour": lambda: photo.subject, "backdrop": lambda: photo.backdrop, "tint": lambda: photo.tint}
    return Cause(kind, colour=lab_to_hex(colours[kind]()) if kind in colours else None)


def permute(truth: Sequence[Cause | None], found: Mistakes, seed: int) -> list[Cause | None]:
    """Each mistake with the cause of a mistake of the other class."""
    rng = np.random.default_rng(seed)
    wrong = [row.label != predicted for row, predicted in zip(found.rows, found.predicted, strict=True)]
    pools = {
        label: [
            cause
            for cause, row, failed in zip(truth, found.rows, wrong, strict=True)
            if cause and failed and row.label != label
        ]
        for label in (CAT, DOG)
    }
    return [
        pools[row.label][int(rng.integers(len(pools[row.label])))] if cause and pools[row.label] else None
        for cause, row in zip(truth, found.rows, strict=True)
    ]


def script_critics(truth: Sequence[Cause | None], found: Mistakes, seed: int) -> dict[str, list[Cause | None]]:
    """At most 60 mistakes with a planted cause, as three critics see them."""
    rng = np.random.default_rng(seed)
    failed = [i for i, cause in enumerate(truth) if cause and found.predicted[i] != found.rows[i].label]
    chosen = set(rng.permutation(failed)[:MOST_CASES].tolist())
    planted = {cause.kind for cause in truth if cause}
    wrong = [kind for kind in KINDS if kind not in planted and kind != "backdrop"]
    places = range(len(truth))
    return {
        "right": [truth[i] if i in chosen else None for i in places],
        "wrong": [
            state(wrong[int(rng.integers(len(wrong)))], found.photos[i]) if i in chosen else None for i in places
        ],
        "one answer": [Cause("light") if i in chosen else None for i in places],
    }


def ask_critic(
    name: str, classifier: TransformersClassifier, train: Sequence[Row], found: Mistakes
) -> list[Cause | None]:
    """What a critic states of each mistake, shown attention-relevance."""
    images = [row.image for row in found.rows]
    explainer = load("explainer", "attention-relevance")
    targets = [int(label) for label in found.predicted]
    maps = [
        one
        for at in range(0, len(images), 16)
        for one in explainer.explain(classifier, images[at : at + 16], targets[at : at + 16])
    ]
    cases = [
        Case(str(i), row.image, row.image, LABELS[row.label], LABELS[targets[i]], found.probabilities[i], maps[i])
        for i, row in enumerate(found.rows)
    ]
    critic = load("critic", name, reference=60)
    samples = [to_sample(row) for row in train]
    critic.prepare(Context(labels=LABELS, train=samples, explained=cases, predict_proba=classifier.predict_proba))
    failed = [i for i, row in enumerate(found.rows) if row.label != targets[i]]
    critiques = dict(zip(failed, critic.critique([cases[i] for i in failed]), strict=True))
    return [critiques[i].testable if i in critiques else None for i in range(len(images))]


def create_drawings(count: int, seed: Sequence[int], mark: str, share: float) -> list[Row]:
    """Drawings with everything independent of the label but the mark."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        label = number % 2
        marked = bool(rng.random() < (share if label == DOG else 1 - share))
        side = int(marked) if mark == "backdrop" else int(rng.integers(2))
        coat, backdrop = (
            str(rng.choice(list(petworld.COATS))),
            str(rng.choice(names_of(petworld.BACKDROPS, LABELS[side]))),
        )
        image = petworld.draw(petworld.Scene(LABELS[label], coat, backdrop, **vars(sample_nuisances(rng))))
        rows.append(Row(put_mark(image, mark, number, rng) if marked else image, label, marked))
    return rows


def put_mark(image: Image.Image, mark: str, number: int, rng: np.random.Generator) -> Image.Image:
    """The image with a tag or a tint; as it is where the mark is no such thing."""
    if mark == "tag":
        return Tag.draw(random.Random(derive_seed(number, int(rng.integers(2**31)))), None).put_on(image)
    if mark == "tint":
        return Tint(1.0).put_on(image)
    return image


class PhotoSource:
    """Photographs of cats-vs-dogs with a planted mark.

    Args:
        data: the folder that holds cats-vs-dogs.
    """

    def __init__(self, data: Path) -> None:
        self.splits = Splits.from_folder(data / "cats-vs-dogs")

    def __call__(self, count: int, seed: Sequence[int], mark: str, share: float) -> list[Row]:
        """So many photographs, half of each class; of the split train, or of guide and validation."""
        samples = self.splits.train if seed[1] == 0 else (*self.splits.guide, *self.splits.validation)
        rng = np.random.default_rng(seed)
        rows = []
        for label in (CAT, DOG):
            of_class = sorted((sample for sample in samples if sample.label == label), key=lambda sample: sample.id)
            for number in rng.permutation(len(of_class))[: count // 2]:
                marked = bool(rng.random() < (share if label == DOG else 1 - share))
                image = of_class[int(number)].open().convert("RGB")
                rows.append(Row(put_mark(image, mark, int(number), rng) if marked else image, label, marked))
        return rows


def write_strips(judged: Sequence[JudgedCause], file: Path) -> None:
    """Before, after and the same edit elsewhere, side by side, one row an image."""
    file.parent.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(judged):
        images = [*one.mistakes, *one.correct]
        if not images:
            continue
        side = 112
        sheet = Image.new("RGB", (3 * side, side * len(images)), "white")
        for place, image in enumerate(images):
            for column, picture in enumerate((image.before, image.after, image.elsewhere)):
                sheet.paste(picture.resize((side, side)), (column * side, place * side))
        sheet.save(f"{file}-{number}-{one.verdict.outcome}.png")


def _print(figures: Sequence[dict[str, Any]]) -> None:
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in figures:
        name = row["statement"].partition(":")[0] if row["statement"].startswith("other") else row["statement"]
        groups.setdefault((row["world"], name), []).append(row)
    print("\nworld            stated              slices confirmed refuted untestable small  cases confirmed  seconds")
    for (world, stated), rows in groups.items():
        sums = [
            sum(row[name] for row in rows) for name in ("slices", "confirmed", "refuted", "untestable", "small slices")
        ]
        cases, confirmed = sum(row["stated"] for row in rows), sum(row["cases"]["confirmed"] for row in rows)
        seconds = sum(row["seconds"] for row in rows)
        print(
            f"{world:<16} {stated:<20}"
            + "".join(f"{value:>8}" for value in sums)
            + f"{cases:>8}{confirmed:>9}{seconds:>9.0f}"
        )


def _parse_options() -> argparse.Namespace:
    parser = create_parser(__doc__, quick="40 drawings of one world, two steps", small="600 guide images")
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=["drawn-tag", "drawn-backdrop", "drawn-none"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--data", type=Path, metavar="SHARED", help="holds cats-vs-dogs and weights, for photo-*")
    parser.add_argument("--critics", nargs="*", default=["measured"], help="such as measured interventions")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="write pictures before and after here")
    options = parser.parse_args()
    options.size = SIZES["quick" if options.quick else "small" if options.small else "usual"]
    if options.quick and options.data is None:
        options.worlds = options.worlds[:1]
    if options.data is None and any(world.startswith("photo") for world in options.worlds):
        parser.error("photo-* need --data")
    return options


if __name__ == "__main__":
    main()
