"""Are planted slices found? Three causes, each present and absent, in photographs of cats and dogs.

    python benchmarks/slices.py --data SHARED [--seeds 3] [--each 400] [--small | --quick] [--sheets DIR] [--json FILE]
    python benchmarks/slices.py --data SHARED --speed [--json FILE]

SHARED holds cats-vs-dogs and weights. 92 % of the dogs have a yellow tag in a corner and a green backdrop, 92 % of the
cats a warm tint, and of each 8 % of a class have the wrong one of one cause: six slices, of which three have what their
class lacks, and three lack what it has. Predictions are drawn, as those of Domino's synthetic models (arXiv 2203.14960,
section 5): wrong for 75 % of the images of a slice, and for 4 % of the others. Embeddings are those of
vit-tiny-distilled, which has seen none of it.

Precision: of the first min(10, size) held-out images of a found slice, correct ones ranked in, the share that the
planted slice holds; of the best found slice for each planted one. Beside it: groups at random, five a class; k-means
with ten clusters of the mistakes' embeddings; and Domino's mixture on embeddings alone, 25 components, of which the
five with the highest error rate count for each class. `measured` is the search without embeddings, `colours` without
marks too.

--speed takes the time of 200 mistakes and 400 correct images, as a run has them: embedding, measuring in threads,
search; three times, of which the fastest counts.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from planted_marks import Tag
from reporting import create_parser, describe_machine, write_json

from xaiaug import Context, MistakeSlice, load
from xaiaug.loop.slices import MOST_COMPARED
from xaiaug.plugins._superpixels import subject_mask
from xaiaug.records import Slices, derive_seed
from xaiaug.records.mistake_slice import SLICE_KINDS
from xaiaug.slices import GuideImage, is_for_finding, measure_in_threads, measure_traits, search_slices
from xaiaug.slices.error_mixture import fit_mixture

LABELS = ("cat", "dog")
TYPICAL = {"tag": 1, "tint": 0, "backdrop": 1}  # the class that most images with it have
CONFLICT = 0.08  # share of a class that each cause misleads on
WRONG = {True: 0.75, False: 0.04}  # of the misled images, and of the others
WARM = np.array([1.13, 0.98, 0.72])
GREEN = np.array([80, 150, 90])
FIRST = 10
RANDOM_GROUPS, CLUSTERS, COMPONENTS, KEPT = 5, 10, 25, 5
DIRECTIONS = 32  # of the embedding, for the published mixture
BATCH = 64
MISTAKES, REPEATS = 200, 3  # of --speed

Ranking = Sequence[str]  # ids of held-out images, the most typical first


@dataclass(frozen=True, eq=False)
class Planted:
    """One photograph after planting.

    Attributes:
        id: of the photograph.
        label: index of its class.
        conflict: the cause that misleads on it; None for most.
        image: with what was planted.
        predicted: index of the drawn prediction.
    """

    id: str
    label: int
    conflict: str | None
    image: Image.Image
    predicted: int


def main() -> None:
    """Measures, prints and writes."""
    options = _parse_options()
    if options.speed:
        print_speed(options)
        return
    seeds = range(options.seeds)
    worlds = [measure_world(options, seed) for seed in seeds]
    print_table(worlds)
    print(f"\n{describe_machine()['summary']}")
    if options.json:
        write_json(options.json, {"each": options.each, "worlds": worlds}, seeds=list(seeds))


def measure_world(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """The precision of every method on every planted slice of one world, and the names that were given."""
    planted = plant(options.data / "cats-vs-dogs" / "train", options.each, seed)
    vectors = _embed(_load_embedding(options.data), [one.image for one in planted])
    began = time.process_time()
    guide = [
        GuideImage(one.id, one.label, one.predicted, measure_traits(one.image, subject_mask), vector)
        for one, vector in zip(planted, vectors, strict=True)
    ]
    measured = time.process_time() - began
    began = time.process_time()
    found = search_slices(guide, LABELS, seed)
    seconds = {"measure": measured, "search": time.process_time() - began}
    rankings = list_rankings(guide, found, seed)
    conflicts = {one.id: (one.conflict, one.label) for one in planted}
    precision = {
        name: {_word(cause, label): _score(groups, conflicts, cause, label) for cause in TYPICAL for label in (0, 1)}
        for name, groups in rankings.items()
    }
    mistakes = sum(one.wrong for one in guide)
    print(f"\nseed {seed}: {mistakes} mistakes among {len(guide)}; {seconds} s of a core", flush=True)
    for one in (*found.slices, *found.unconfirmed):
        print(f"  {'' if one in found.slices else '(does not hold) '}{_describe(one, conflicts)}")
    if options.sheets:
        _write_sheets(options.sheets, seed, found, {one.id: one.image for one in planted})
    return {
        "seed": seed,
        "mistakes": mistakes,
        "seconds": seconds,
        "precision": precision,
        "slices": [{"name": one.name, "size": one.size, "mistakes": one.mistakes, "p": one.p} for one in found],
        "unconfirmed": [one.name for one in found.unconfirmed],
    }


def print_speed(options: argparse.Namespace) -> None:
    """Seconds by the clock and of all cores, for as many images as a run compares by default."""
    planted = plant(options.data / "cats-vs-dogs" / "train", options.each, seed=0)
    wrong = [one for one in planted if one.predicted != one.label][:MISTAKES]
    chosen = wrong + [one for one in planted if one.predicted == one.label][:MOST_COMPARED]
    classifier = _load_embedding(options.data)
    runs = [_time_search(classifier, chosen) for _ in range(REPEATS)]
    fastest = min(runs, key=lambda run: run["all"]["seconds"])
    print(f"{len(wrong)} mistakes, {len(chosen) - len(wrong)} correct images; seconds by the clock, and of cores")
    for part, spent in fastest.items():
        print(f"{part:<10}{spent['seconds']:8.1f}{spent['core_seconds']:8.1f}")
    print(f"\n{describe_machine()['summary']}")
    if options.json:
        write_json(options.json, {"mistakes": len(wrong), "images": len(chosen), "runs": runs}, seeds=[0])


def _time_search(classifier: Any, chosen: Sequence[Planted]) -> dict[str, dict[str, float]]:
    marks = [("", time.monotonic(), time.process_time())]

    def mark(part: str) -> None:
        marks.append((part, time.monotonic(), time.process_time()))

    images = [one.image for one in chosen]
    vectors = _embed(classifier, images)
    mark("embed")
    traits = measure_in_threads(images, subject_mask, [None] * len(images))
    mark("measure")
    pairs = zip(chosen, traits, vectors, strict=True)
    search_slices([GuideImage(one.id, one.label, one.predicted, made, vector) for one, made, vector in pairs], LABELS)
    mark("search")
    parts = [
        (part, {"seconds": clock - before[1], "core_seconds": spent - before[2]})
        for before, (part, clock, spent) in pairwise(marks)
    ]
    first, last = marks[0], marks[-1]
    return {**dict(parts), "all": {"seconds": last[1] - first[1], "core_seconds": last[2] - first[2]}}


def plant(folder: Path, each: int, seed: int) -> list[Planted]:
    """Photographs of both classes, `each` of each, with causes planted and predictions drawn."""
    rng = random.Random(seed)
    planted = []
    for label, name in enumerate(LABELS):
        files = sorted((folder / name).glob("*.jpg"))
        for file in rng.sample(files, min(each, len(files))):
            part = rng.random()
            conflict = next((cause for i, cause in enumerate(TYPICAL) if i <= part / CONFLICT < i + 1), None)
            with Image.open(file) as opened:
                image = opened.convert("RGB")
            for cause, put in (("backdrop", put_backdrop), ("tag", put_tag), ("tint", put_tint)):
                if (TYPICAL[cause] == label) != (cause == conflict):
                    image = put(image, rng)
            wrong = rng.random() < WRONG[conflict is not None]
            planted.append(Planted(file.name, label, conflict, image, 1 - label if wrong else label))
    return planted


def put_tag(image: Image.Image, rng: random.Random) -> Image.Image:
    """A yellow tag in a random corner."""
    return Tag.draw(rng, None).put_on(image)


def put_tint(image: Image.Image, rng: random.Random) -> Image.Image:
    """A warm tint over the whole image."""
    tinted = np.asarray(image, float) * (1 + rng.uniform(0.8, 1.2) * (WARM - 1))
    return Image.fromarray(np.clip(tinted, 0, 255).astype(np.uint8))


def put_backdrop(image: Image.Image, rng: random.Random) -> Image.Image:
    """Three quarters of a plain green over what lies behind the subject, as far as our own segmentation finds it."""
    mask = subject_mask(image)[..., None]
    pixels, green = np.asarray(image, float), GREEN + rng.uniform(-15, 15)
    covered = pixels * mask + (1 - mask) * (0.25 * pixels + 0.75 * green)
    return Image.fromarray(np.clip(covered, 0, 255).astype(np.uint8))


def _load_embedding(data: Path) -> Any:
    """A classifier that has seen none of the marks; only what its head would read is asked for."""
    classifier = load("classifier", "transformers", checkpoint=str(data / "weights" / "vit-tiny-distilled"))
    classifier.prepare(Context(labels=LABELS))
    return classifier


def _embed(classifier: Any, images: Sequence[Image.Image]) -> NDArray[np.float32]:
    parts = [classifier.embed(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    return np.concatenate(parts)


def list_rankings(guide: Sequence[GuideImage], found: Slices, seed: int) -> dict[str, dict[int, list[Ranking]]]:
    """By method and class: the held-out images of each group that it finds."""
    guide = sorted(guide, key=lambda one: one.id)
    finding = [one for one in guide if is_for_finding(one.id)]
    scoring = [one for one in guide if not is_for_finding(one.id)]
    searches = {
        "slices": found,
        "measured": search_slices(guide, LABELS, seed, [kind for kind in SLICE_KINDS if kind != "features"]),
        "colours": search_slices(
            guide, LABELS, seed, [kind for kind in SLICE_KINDS if kind not in ("features", "mark")]
        ),
    }
    methods: dict[str, Callable[..., list[Ranking]]] = {
        "embedding mixture": _rank_by_mixture,
        "embedding clusters": _rank_by_clusters,
        "random": _rank_by_chance,
    }
    rankings = {name: {label: _by_label(made, label) for label in (0, 1)} for name, made in searches.items()}
    for name, rank in methods.items():
        rankings[name] = {
            label: rank(
                [one for one in finding if one.label == label], [one for one in scoring if one.label == label], seed
            )
            for label in (0, 1)
        }
    return rankings


def _by_label(found: Slices, label: int) -> list[Ranking]:
    return [one.ranked for one in found if one.label in (LABELS[label], None)]


def _rank_by_chance(finding: Sequence[GuideImage], scoring: Sequence[GuideImage], seed: int) -> list[Ranking]:
    rng = random.Random(derive_seed("random", seed, len(finding)))
    return [rng.sample([one.id for one in scoring], len(scoring)) for _ in range(RANDOM_GROUPS)]


def _rank_by_clusters(finding: Sequence[GuideImage], scoring: Sequence[GuideImage], seed: int) -> list[Ranking]:
    from sklearn.cluster import KMeans

    wrong = np.stack([one.embedding for one in finding if one.wrong])
    clusters = KMeans(min(CLUSTERS, len(wrong)), n_init=3, random_state=seed).fit(wrong)
    distances = clusters.transform(np.stack([one.embedding for one in scoring]))
    return [[scoring[i].id for i in np.argsort(column, kind="stable")] for column in distances.T]


def _rank_by_mixture(finding: Sequence[GuideImage], scoring: Sequence[GuideImage], seed: int) -> list[Ranking]:
    from sklearn.decomposition import PCA

    values = np.stack([one.embedding for one in finding])
    directions = PCA(min(DIRECTIONS, len(values) // 3), whiten=True, svd_solver="full").fit(values)
    features, wrong = directions.transform(values), np.array([one.wrong for one in finding])
    mixture = fit_mixture(features, wrong, min(COMPONENTS, len(values) // 4), seed)
    posteriors = mixture.log_posteriors(directions.transform(np.stack([one.embedding for one in scoring])))
    kept = np.argsort(-mixture.rates, kind="stable")[:KEPT]
    return [[scoring[i].id for i in np.argsort(-posteriors[:, one], kind="stable")] for one in kept]


def _score(
    groups: dict[int, list[Ranking]], conflicts: dict[str, tuple[str | None, int]], cause: str, label: int
) -> float:
    """The precision of the best group for one planted slice; 0 where nothing was found."""
    shares = [
        np.mean([conflicts[one] == (cause, label) for one in ranking[:FIRST]]) for ranking in groups[label] if ranking
    ]
    return float(max(shares, default=0.0))


def print_table(worlds: Sequence[dict[str, Any]]) -> None:
    """The mean precision over the seeds, a row a method."""
    slices = list(worlds[0]["precision"]["slices"])
    print(
        f"\nprecision in the first {FIRST} of the best slice\n{'method':<20}"
        + "".join(f"{n:>18}" for n in slices)
        + f"{'mean':>8}"
    )
    for method in worlds[0]["precision"]:
        values = np.array([[world["precision"][method][name] for name in slices] for world in worlds])
        print(f"{method:<20}" + "".join(f"{value:18.2f}" for value in values.mean(axis=0)) + f"{values.mean():8.2f}")


def _word(cause: str, label: int) -> str:
    return f"{LABELS[label]} {'without' if TYPICAL[cause] == label else 'with'} {cause}"


def _describe(one: MistakeSlice, conflicts: dict[str, tuple[str | None, int]]) -> str:
    first = [conflicts[image_id][0] or "none" for image_id in one.ranked[:FIRST]]
    planted = max(sorted(set(first)), key=first.count) if first else "-"
    return (
        f"{one.name} [{one.mistakes} of {one.size} wrong, p {one.p:.1g}; first {len(first)}: {first.count(planted)} "
        f"{planted}]"
    )


def _write_sheets(folder: Path, seed: int, found: Slices, images: dict[str, Image.Image]) -> None:
    """A sheet a slice: its most typical mistakes above, correct images outside it below."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(found):
        sheet = Image.new("RGB", (9 * 128, 2 * 128))
        for row, ids in enumerate((one.examples, one.contrast)):
            for column, image_id in enumerate(ids[:9]):
                sheet.paste(images[image_id].resize((128, 128)), (128 * column, 128 * row))
        sheet.save(folder / f"{seed}-{number} {one.name.replace('/', ' ')[:120]}.png")


def _parse_options() -> argparse.Namespace:
    parser = create_parser(__doc__, quick="120 photographs, one seed", small="two seeds of 250 photographs a class")
    parser.add_argument("--data", type=Path, required=True, metavar="SHARED", help="holds the photographs and weights")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--each", type=int, default=400, help="photographs of each class")
    parser.add_argument("--speed", action="store_true", help="how long 200 mistakes take")
    parser.add_argument("--sheets", type=Path, metavar="DIR", help="write the examples of each slice here")
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.each = 1, 60
    elif options.speed:
        options.each = 550
    elif options.small:
        options.seeds, options.each = 2, 250
    return options


if __name__ == "__main__":
    main()
