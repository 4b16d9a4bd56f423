"""What each arm trains on."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, cycle, islice

from ..records import Arm, Sample
from .mixing_ratio import Addition, binding_limit, count_added

TRAIN_FAILURES, RETRIEVED, DISAGREEMENTS = "train-failures", "retrieved", "disagreements"
REPEATED = frozenset({"failures", TRAIN_FAILURES})  # pools whose images may be taken more than once
COUNTED = REPEATED | {"reserve", RETRIEVED}  # pools that give as many images as arms with new images have
# Why an arm shows nothing where a pool of it is empty.
EMPTY_POOLS = {
    TRAIN_FAILURES: "the baseline gets all training images right: there are none to repeat",
    RETRIEVED: "no reserve image is near a mistake: there are no mistakes, or the classifier has no embedding",
    DISAGREEMENTS: "the baseline and its early weights predict the same for every guide image",
}


def pools_of(arm: Arm) -> tuple[str, ...]:
    """The pools of real images that an arm trains on, by name."""
    return tuple(pool for pool in arm.real.split("+") if pool != "none")


def find_empty_pool(arm: Arm, pools: Mapping[str, Sequence[Sample]]) -> str:
    """Why an arm would show nothing, if one of its pools is empty; empty if none is."""
    return next((EMPTY_POOLS[pool] for pool in pools_of(arm) if pool in EMPTY_POOLS and not pools[pool]), "")


def build_training_set(
    arm: Arm,
    pools: Mapping[str, Sequence[Sample]],
    synthetic: Sequence[Sample],
    addition: Addition | None = None,
    *,
    passes: int = 0,
    seed: int = 0,
) -> tuple[Sample, ...]:
    """The training images of an arm: its real images, then its synthetic ones with their weight.

    An arm has real images, and adds others to them: new images, mistakes that are repeated, or a reserve. Where there
    are more to add than the limit of the addition, the arm gets exactly `passes` images, of which the added ones take
    as many as the limit allows: arms that are compared have the same share of passes for what they add. A ratio or
    probability of the arm itself is kept instead, and counts new images for each real one, repeated ones among these.

    Args:
        arm: the row.
        pools: real images by name: "train", "failures", "train-failures", "guide", "disagreements", "reserve", and
            "retrieved", in the order in which they are taken.
        synthetic: the new images of the arm's source; ignored by an arm without a source.
        addition: what arms with new images add; failures are repeated and reserve images cut to its number of each
            class. An arm with new images and one of these pools gets half of each. None uses all as they are.
        passes: images drawn in the training, for an arm that has a ratio, a probability or more to add than the limit.
        seed: of the draw, for such an arm.
    """
    real, counted, new = collect_images(arm, pools, synthetic, addition)
    rng = random.Random(f"mix {seed}")
    if real + counted and new and arm.replace_probability:
        drawn = _repeat_evenly(real + counted, passes, rng)
        return tuple(_replace_real(drawn, new, arm.replace_probability, rng))
    if real + counted and new and arm.synthetic_ratio is not None:
        return _mix(real + counted, new, arm.synthetic_ratio, passes, rng)
    limit = binding_limit(arm, len(real), len(counted + new), addition.limit if addition else None)
    return (*real, *counted, *new) if limit is None else _mix(real, counted + new, limit, passes, rng)


def collect_images(
    arm: Arm, pools: Mapping[str, Sequence[Sample]], synthetic: Sequence[Sample], addition: Addition | None
) -> tuple[list[Sample], list[Sample], list[Sample]]:
    """What an arm draws from: its real images, those that it repeats or takes from a reserve, and its new ones.

    Args:
        arm, pools, synthetic, addition: as of `build_training_set`.
    """
    names = pools_of(arm)
    new = [replace(sample, weight=arm.synthetic_weight) for sample in synthetic] if arm.images else []
    count = None if addition is None else addition.count
    if new and count is not None and (shared := COUNTED.intersection(names)):
        new, count = _halve(new, pools[min(shared)], count)
    real = [sample for pool in names if pool not in COUNTED for sample in pools[pool]]
    counted = [sample for pool in names if pool in COUNTED for sample in _match_count(pool, pools[pool], count)]
    return real, counted, new


def _mix(
    real: Sequence[Sample], added: Sequence[Sample], ratio: float, passes: int, rng: random.Random
) -> tuple[Sample, ...]:
    share = count_added(passes, ratio)
    return (*_repeat_evenly(real, passes - share, rng), *_repeat_evenly(added, share, rng))


def _halve(
    new: Sequence[Sample], pool: Sequence[Sample], count: Mapping[int, int]
) -> tuple[list[Sample], dict[int, int]]:
    """Every second new image of each class that a pool has images of, and how many of the pool take their place."""
    others = {label: wanted // 2 for label, wanted in count.items() if any(sample.label == label for sample in pool)}
    left, seen, kept = Counter(others), Counter[int](), []
    for sample in new:
        seen[sample.label] += 1
        if seen[sample.label] % 2 == 0 and left[sample.label]:
            left[sample.label] -= 1
        else:
            kept.append(sample)
    return kept, others


def _repeat_evenly(samples: Sequence[Sample], count: int, rng: random.Random) -> Iterable[Sample]:
    """`count` samples, of each class its share; how often two of them occur differs by at most one."""
    epochs = (_mix_classes(samples, rng) for _ in iter(int, 1))
    return list(islice(chain.from_iterable(epochs), count))


def _mix_classes(samples: Sequence[Sample], rng: random.Random) -> list[Sample]:
    """The samples of each class in random order, the classes merged in proportion.

    How many of a class are among the first depends on the sizes of the classes alone: arms whose images are equally
    many of each class show equally many, however few of them are drawn.
    """
    by_class: dict[int, list[Sample]] = {}
    for sample in samples:
        by_class.setdefault(sample.label, []).append(sample)
    places = [
        ((rank + 0.5) / len(of_class), sample)
        for _, of_class in sorted(by_class.items())
        for rank, sample in enumerate(rng.sample(of_class, len(of_class)))
    ]
    return [sample for _, sample in sorted(places, key=lambda place: place[0])]


def _replace_real(
    real: Iterable[Sample], new: Sequence[Sample], probability: float, rng: random.Random
) -> Iterable[Sample]:
    """The real samples, each replaced by a new one of its class with the given probability."""
    by_class: dict[int, list[Sample]] = {}
    for sample in new:
        by_class.setdefault(sample.label, []).append(sample)
    for sample in real:
        candidates = by_class.get(sample.label)
        yield rng.choice(candidates) if candidates and rng.random() < probability else sample


def _match_count(pool: str, samples: Sequence[Sample], count: Mapping[int, int] | None) -> Iterable[Sample]:
    if count is None:
        return samples
    by_class: dict[int, list[Sample]] = {}
    for sample in samples:
        by_class.setdefault(sample.label, []).append(sample)
    return [
        sample
        for label, of_class in sorted(by_class.items())
        for sample in islice(cycle(of_class) if pool in REPEATED else of_class, count.get(label, 0))
    ]
