"""Checks splits before a run finds out the hard way."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..errors import DataError
from ..records import JSON
from .entries import SPLITS, Refusal
from .fingerprint import fingerprints
from .leaks import Leak, Place, conflicts, exact_leaks, file_name, near_leaks

if TYPE_CHECKING:
    from .splits import Splits

_SHOWN = 10


@dataclass(frozen=True)
class DataCheck:
    """What a check of splits counted, skipped and dropped.

    Attributes:
        counts: images by split and label, after the check.
        skipped: files that were left out because they cannot be used.
        dropped: images that were left out because they are in another split too.
        allowed: nearly the same images in two splits, where they are allowed.
        warnings: what a person should know, a line each.
        splits: the splits that are left.
        places: every image that is left, with its fingerprint.
    """

    counts: dict[str, dict[str, int]]
    skipped: tuple[Refusal, ...]
    dropped: tuple[Leak, ...]
    allowed: tuple[Leak, ...]
    warnings: tuple[str, ...]
    splits: Splits = field(repr=False)
    places: tuple[Place, ...] = field(repr=False)

    def to_json(self) -> dict[str, JSON]:
        """All but the splits and the images themselves."""
        return {
            "counts": self.counts,
            "skipped": [refusal.to_json() for refusal in self.skipped],
            "dropped": [leak.to_json() for leak in self.dropped],
            "allowed": [leak.to_json() for leak in self.allowed],
            "warnings": list(self.warnings),
        }


def check_splits(splits: Splits, needs: Sequence[str]) -> DataCheck:
    """As `Splits.check`."""
    # Files that were refused explain a missing class better than the missing class itself: they are told first.
    if not splits.refused:
        _check_classes(splits, needs)
    _check_groups(splits)
    places, skipped = _read(splits)
    if skipped:
        _on_bad_images(splits, skipped)
    leaks = exact_leaks(places)
    places = _drop(places, leaks, "on_leak", splits.policy.on_leak)
    near = near_leaks(places)
    places = _drop(places, near, "on_near_duplicate", splits.policy.on_near_duplicate)
    dropped = [*leaks, *near] if splits.policy.on_near_duplicate == "drop" else leaks
    left = _keep(splits, places)
    _check_classes(left, needs)
    return DataCheck(
        counts=_counts(left),
        skipped=tuple(skipped),
        dropped=tuple(dropped),
        allowed=tuple(leak for leak in near if leak not in dropped),
        warnings=(*splits.notes, *_warnings(places, skipped, [*leaks, *near], left)),
        splits=left,
        places=tuple(places),
    )


def _read(splits: Splits) -> tuple[list[Place], list[Refusal]]:
    """Every readable image of every split with its fingerprint, and every file that cannot be used."""
    samples = [(name, sample) for name in splits.distinct for sample in splits[name]]
    places, skipped = [], list(splits.refused)
    for (name, sample), found in zip(samples, fingerprints([sample for _, sample in samples]), strict=True):
        if isinstance(found, DataError):
            file = file_name(sample)
            skipped.append(Refusal(file, str(found).removeprefix(f"{file}: "), name, splits.labels[sample.label]))
        else:
            places.append(Place(name, sample, found))
    return places, skipped


def _on_bad_images(splits: Splits, skipped: Sequence[Refusal]) -> None:
    message = _listed("images that cannot be used", [f"{refusal.file}: {refusal.reason}" for refusal in skipped])
    if splits.policy.on_bad_image == "error":
        raise DataError(f"{message}\nMend or remove them, or set on_bad_image = 'skip'")
    warnings.warn(f"left out {message}", stacklevel=4)


def _check_classes(splits: Splits, needs: Sequence[str]) -> None:
    if len(splits.labels) < 2:
        raise DataError(f"a classifier needs at least two classes, found {', '.join(splits.labels) or 'none'}")
    missing = [name for name in needs if not splits[name]]
    if missing:
        raise DataError(f"no image in the split{'s' * (len(missing) > 1)} {', '.join(missing)}; has {_sizes(splits)}")
    counts = _counts(splits)
    everywhere = [label for label in splits.labels if not any(counts[name][label] for name in counts)]
    if everywhere:
        raise DataError(_listed("classes without an image", everywhere) + f"\nThe splits have {_sizes(splits)}")
    lacking = [f"{name} has no {label}" for name in counts for label in splits.labels if not counts[name][label]]
    if lacking:
        raise DataError(_listed("every split needs every class", lacking) + f"\nThe splits have {_sizes(splits)}")


def _check_groups(splits: Splits) -> None:
    group = splits.policy.split_by
    seen: dict[str, str] = {}
    for name in splits.distinct if group else ():
        for sample in splits[name]:
            value = sample.groups.get(group or "", "")
            if seen.setdefault(value, name) != name:
                raise DataError(f"split_by = {group!r}: {group} {value!r} is in the splits {seen[value]} and {name}")


def _drop(places: Sequence[Place], leaks: Sequence[Leak], setting: str, choice: str) -> list[Place]:
    """The places that are left when leaks are treated as chosen."""
    if not leaks or choice == "allow":
        return list(places)
    if choice == "error":
        others = "'drop'" if setting == "on_leak" else "'drop' or 'allow'"
        raise DataError(f"{_listed('images in two splits', leaks)}\nRemove one of each, or set {setting} = {others}")
    gone = {(leak.dropped_split, leak.dropped_id) for leak in leaks}
    return [place for place in places if (place.split, place.sample.id) not in gone]


def _keep(splits: Splits, places: Sequence[Place]) -> Splits:
    """The splits with these images alone; the very same object when nothing is lost."""
    if len(places) == sum(len(splits[name]) for name in splits.distinct):
        return splits
    parts = {name: tuple(place.sample for place in places if place.split == name) for name in SPLITS}
    if splits.guide_is_validation:
        parts["guide"] = parts["validation"]
    return replace(splits, refused=(), notes=(), **parts)  # type: ignore[arg-type]


def _warnings(
    places: Sequence[Place], skipped: Sequence[Refusal], leaks: Sequence[Leak], left: Splits
) -> tuple[str, ...]:
    told = []
    if skipped:
        told.append(f"{len(skipped)} images could not be used and were left out")
    if leaks:
        told.append(f"{len(leaks)} images were in two splits, the same or nearly")
    pairs = [f"{one.file} and {other.file}" for one, other in conflicts(places)]
    if pairs:
        told.append(_listed("the same image under two labels", pairs))
    counts = _counts(left).get("train", {})
    if counts and max(counts.values()) > 3 * min(counts.values()):
        told.append(f"train is imbalanced: {min(counts.values())} to {max(counts.values())} images a class")
    return tuple(told)


def _counts(splits: Splits) -> dict[str, dict[str, int]]:
    counts = {name: dict.fromkeys(splits.labels, 0) for name in SPLITS if splits[name]}
    for name, by_label in counts.items():
        for sample in splits[name]:
            by_label[splits.labels[sample.label]] += 1
    return counts


def _sizes(splits: Splits) -> str:
    return ", ".join(f"{name} {len(splits[name])}" for name in SPLITS)


def _listed(what: str, items: Sequence[object]) -> str:
    """A heading with the number of items, the first of them, and a count of the rest."""
    lines = [f"{what} ({len(items)}):", *(f"  {item}" for item in items[:_SHOWN])]
    if len(items) > _SHOWN:
        lines.append(f"  … and {len(items) - _SHOWN} more")
    return "\n".join(lines)
