"""Splits drawn by fractions: stratified by class, whole groups, the same for the same seed."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from ..errors import DataError
from ..records import Sample
from .entries import SPLITS, Entry, Found
from .options import Options, check_fractions, to_fractions

Drawn = dict[str, list[Entry]]


def draw(entries: Sequence[Entry], fractions: Mapping[str, float], seed: int, split_by: str | None = None) -> Drawn:
    """The entries by split: `fractions` of them, and the rest in "train".

    Within a class the order of drawing is that of a digest of seed and image, so names do not matter; copies of one
    image go to one split.

    Args:
        entries: what to divide.
        fractions: share of each split but train, 0 to 1.
        seed: another seed gives another draw.
        split_by: a group: no value of it will be in two splits; None for no such group.

    Raises:
        ConfigError: impossible fractions.
        DataError: a class with fewer images than splits, or an image that does not have the group `split_by`.
    """
    check_fractions(fractions)
    shares = {"train": max(0.0, 1 - sum(fractions.values())), **fractions}
    shares = {name: share for name, share in shares.items() if share > 1e-9}
    chosen = _draw_groups(entries, shares, seed, split_by) if split_by else _draw_classes(entries, shares, seed)
    drawn: Drawn = {name: [] for name in ("train", *fractions)}
    for entry, name in zip(entries, chosen, strict=True):
        drawn[name].append(entry)
    return drawn


def _draw_classes(entries: Sequence[Entry], shares: Mapping[str, float], seed: int) -> list[str]:
    copies: defaultdict[str, defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, entry in enumerate(entries):
        copies[entry.label][entry.digest].append(index)
    chosen = [""] * len(entries)
    for label, images in copies.items():
        names = [name for name, size in _sizes(label, len(images), shares).items() for _ in range(size)]
        for name, digest in zip(names, sorted(images, key=lambda digest: _rank(seed, digest)), strict=True):
            for index in images[digest]:
                chosen[index] = name
    return chosen


def _sizes(label: str, total: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Largest remainders, and at least one image for each split."""
    if total < len(shares):
        raise DataError(
            f"class {label!r} has {total} different images, too few for one in each of {', '.join(shares)}; "
            "add images, or set the fractions of splits you do not need to 0"
        )
    sizes = {name: int(total * share) for name, share in shares.items()}
    by_remainder = sorted(shares, key=lambda name: sizes[name] - total * shares[name])
    for name in by_remainder[: total - sum(sizes.values())]:
        sizes[name] += 1
    for name in [name for name, size in sizes.items() if size == 0]:
        sizes[max(sizes, key=lambda other: sizes[other])] -= 1
        sizes[name] = 1
    return sizes


def _draw_groups(entries: Sequence[Entry], shares: Mapping[str, float], seed: int, split_by: str) -> list[str]:
    """Gives group after group, the largest first, to the split that lacks most of its classes."""
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for index, entry in enumerate(entries):
        if not entry.groups.get(split_by):
            raise DataError(f"split_by={split_by!r}: {entry.name} has no such group; it has {dict(entry.groups)}")
        groups[entry.groups[split_by]].append(index)
    totals = _count(entries, range(len(entries)))
    lacking = {name: {label: share * total for label, total in totals.items()} for name, share in shares.items()}
    chosen = [""] * len(entries)
    for group in sorted(groups, key=lambda group: (-len(groups[group]), _rank(seed, group))):
        counts = _count(entries, groups[group])
        best = max(lacking, key=lambda name: _need(lacking[name], counts, totals, shares[name]))
        for label, count in counts.items():
            lacking[best][label] -= count
        for index in groups[group]:
            chosen[index] = best
    return chosen


def _need(lacking: Mapping[str, float], counts: Mapping[str, int], totals: Mapping[str, int], share: float) -> float:
    """How much a split wants a group: the share of its own size it still lacks, in the classes of the group."""
    size = sum(counts.values())
    return sum(lacking[label] / (totals[label] * share) * count / size for label, count in counts.items())


def _count(entries: Sequence[Entry], indices: Sequence[int]) -> dict[str, int]:
    counts: defaultdict[str, int] = defaultdict(int)
    for index in indices:
        counts[entries[index].label] += 1
    return dict(counts)


def _rank(seed: int, what: str) -> bytes:
    return hashlib.blake2b(f"{seed}/{what}".encode(), digest_size=8).digest()


def divide(found: Found, options: Options) -> tuple[dict[str, tuple[Sample, ...]], tuple[str, ...]]:
    """Samples by split, and what a person may want to know of the division.

    Raises:
        DataError: there are splits but no test, or a class is too small to be divided.
        ConfigError: impossible fractions.
    """
    fractions = to_fractions(options)
    if found.splits and "test" not in found.splits and fractions["test"]:
        raise DataError(
            f"found the splits {', '.join(found.splits)} but no test. It is never drawn from train, since images that "
            "were looked at during development prove nothing: add a folder test, or divide class/image by fractions"
        )
    parts: dict[str, list[Entry]] = {name: [] for name in SPLITS}
    for entry in found.entries:
        parts[entry.split or "train"].append(entry)
    missing = {name: share for name, share in fractions.items() if name not in found.splits}
    parts.update(draw(parts["train"], missing, options.get("seed", 0), options.get("split_by")))
    notes: tuple[str, ...] = ()
    if options.get("guide") == "validation":
        if parts["guide"]:
            notes = (f"guide = validation: the {len(parts['guide'])} images of the split guide are left out",)
        parts["guide"] = parts["validation"]
    return {name: to_samples(parts[name], found.labels) for name in SPLITS}, notes


def to_samples(entries: Sequence[Entry], labels: Sequence[str]) -> tuple[Sample, ...]:
    """Samples of one split; the k-th copy of the same bytes gets "-k" behind its id, so that ids differ."""
    index = {label: number for number, label in enumerate(labels)}
    copies: Counter[str] = Counter()
    samples = []
    for entry in entries:
        copies[entry.digest] += 1
        copy = copies[entry.digest]
        identity = entry.digest if copy == 1 else f"{entry.digest}-{copy}"
        samples.append(
            Sample(
                id=identity,
                label=index[entry.label],
                opener=entry.opener,
                groups=dict(entry.groups),
                weight=entry.weight,
            )
        )
    return tuple(samples)
