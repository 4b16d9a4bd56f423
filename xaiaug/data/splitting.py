"""Draws splits by fractions: stratified by class or keeping groups together, deterministic for a seed."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from ..errors import DataError
from ..records import Sample
from .entries import SPLITS, Entry, Scan
from .split_options import SplitOptions, check_fractions, to_fractions

EntriesBySplit = dict[str, list[Entry]]


def draw_splits(
    entries: Sequence[Entry], fractions: Mapping[str, float], seed: int, split_by: str | None = None
) -> EntriesBySplit:
    """The entries by split: `fractions` of them, and the rest in "train".

    Within a class, entries are drawn in the order of a digest of seed and image, so file names do not matter; copies of
    an image go to the same split.

    Args:
        entries: what to divide.
        fractions: share of each split except train, 0 to 1.
        seed: of the draw.
        split_by: a group whose values must not be in two splits; None for no such group.

    Raises:
        ConfigError: the fractions are invalid.
        DataError: a class has fewer images than there are splits, or an image lacks the group `split_by`.
    """
    check_fractions(fractions)
    shares = {"train": max(0.0, 1 - sum(fractions.values())), **fractions}
    shares = {name: share for name, share in shares.items() if share > 1e-9}
    chosen = _draw_groups(entries, shares, seed, split_by) if split_by else _draw_classes(entries, shares, seed)
    drawn: EntriesBySplit = {name: [] for name in ("train", *fractions)}
    for entry, name in zip(entries, chosen, strict=True):
        drawn[name].append(entry)
    return drawn


def _draw_classes(entries: Sequence[Entry], shares: Mapping[str, float], seed: int) -> list[str]:
    copies: defaultdict[str, defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, entry in enumerate(entries):
        copies[entry.label][entry.digest].append(index)
    chosen = [""] * len(entries)
    for label, images in copies.items():
        names = [name for name, size in _split_sizes(label, len(images), shares).items() for _ in range(size)]
        for name, digest in zip(names, sorted(images, key=lambda digest: _draw_order(seed, digest)), strict=True):
            for index in images[digest]:
                chosen[index] = name
    return chosen


def _split_sizes(label: str, total: int, shares: Mapping[str, float]) -> dict[str, int]:
    """The images of a class for each split: largest remainders, at least one each."""
    if total < len(shares):
        raise DataError(
            f"class {label!r} has {total} distinct images, too few for one in each of {', '.join(shares)}; "
            "add images, or set the fractions of unneeded splits to 0"
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
    """Assigns groups, the largest first, to the split with the greatest shortage of their classes."""
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for index, entry in enumerate(entries):
        if not entry.groups.get(split_by):
            raise DataError(f"split_by={split_by!r}: {entry.name} has no such group, only {dict(entry.groups)}")
        groups[entry.groups[split_by]].append(index)
    totals = _count(entries, range(len(entries)))
    shortage = {name: {label: share * total for label, total in totals.items()} for name, share in shares.items()}
    chosen = [""] * len(entries)
    for group in sorted(groups, key=lambda group: (-len(groups[group]), _draw_order(seed, group))):
        counts = _count(entries, groups[group])
        best = max(shortage, key=lambda name: _rate_shortage(shortage[name], counts, totals, shares[name]))
        for label, count in counts.items():
            shortage[best][label] -= count
        for index in groups[group]:
            chosen[index] = best
    return chosen


def _rate_shortage(
    shortage: Mapping[str, float], counts: Mapping[str, int], totals: Mapping[str, int], share: float
) -> float:
    """How much a split needs a group: the missing share of its size, averaged over the group's images by class."""
    size = sum(counts.values())
    return sum(shortage[label] / (totals[label] * share) * count / size for label, count in counts.items())


def _count(entries: Sequence[Entry], indices: Sequence[int]) -> dict[str, int]:
    counts: defaultdict[str, int] = defaultdict(int)
    for index in indices:
        counts[entries[index].label] += 1
    return dict(counts)


def _draw_order(seed: int, name: str) -> bytes:
    return hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()


def assign_splits(scan: Scan, options: SplitOptions) -> tuple[dict[str, tuple[Sample, ...]], tuple[str, ...]]:
    """The samples of each split, as found or as drawn, and notes for the user.

    Raises:
        DataError: there are splits but no test, or a class is too small to divide.
        ConfigError: the fractions are invalid.
    """
    fractions = to_fractions(options)
    if scan.splits and "test" not in scan.splits and fractions["test"] and options.get("require_test", True):
        raise DataError(
            f"found the splits {', '.join(scan.splits)} but no test. It is never drawn from train, because "
            "images seen during development prove nothing: add a folder test, or divide class/image by fractions"
        )
    parts: dict[str, list[Entry]] = {name: [] for name in SPLITS}
    for entry in scan.entries:
        parts[entry.split or "train"].append(entry)
    missing = {name: share for name, share in fractions.items() if name not in scan.splits}
    if scan.splits:
        missing.pop("test", None)  # never drawn from images that were seen during development
    parts.update(draw_splits(parts["train"], missing, options.get("seed", 0), options.get("split_by")))
    notes: tuple[str, ...] = ()
    if options.get("guide") == "validation":
        if parts["guide"]:
            notes = (f"guide = validation: the {len(parts['guide'])} images of the split guide are not used",)
        parts["guide"] = parts["validation"]
    return {name: to_samples(parts[name], scan.labels) for name in SPLITS}, notes


def to_samples(entries: Sequence[Entry], labels: Sequence[str]) -> tuple[Sample, ...]:
    """Samples of one split; the k-th copy of the same bytes gets the suffix "-k" so that ids are unique."""
    index = {label: number for number, label in enumerate(labels)}
    copies: Counter[str] = Counter()
    samples = []
    for entry in entries:
        copies[entry.digest] += 1
        copy = copies[entry.digest]
        sample_id = entry.digest if copy == 1 else f"{entry.digest}-{copy}"
        samples.append(
            Sample(
                id=sample_id,
                label=index[entry.label],
                opener=entry.opener,
                groups=dict(entry.groups),
                weight=entry.weight,
            )
        )
    return tuple(samples)
