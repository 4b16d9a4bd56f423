"""Gives every image its split: existing splits stay as they are, missing ones are drawn from train."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..errors import DataError
from ..records import Sample
from .entry import SPLITS, Entry, Found
from .fractions import draw
from .options import Options, to_fractions


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
