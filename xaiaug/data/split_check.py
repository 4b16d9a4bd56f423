"""Checks images of splits: unreadable files, missing classes, groups and images in two splits."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import DataError, DataWarning
from ..records import Sample
from .entries import SPLITS, UnusableFile
from .fingerprint import compute_fingerprints
from .leaks import Leak, SplitImage, display_name, find_copies, find_exact_leaks, find_label_conflicts, find_near_leaks
from .split_options import Policy

Parts = Mapping[str, Sequence[Sample]]  # samples by split
_SHOWN = 10
_IMBALANCED = 3  # times as many images of one class as of another


@dataclass(frozen=True)
class ImageCheck:
    """What a check of the images found.

    Attributes:
        images: the usable images that remain, with their fingerprints.
        skipped: files left out because they are unusable.
        dropped: images left out because they are also in another split.
        allowed: near-duplicates in two splits that the policy allows.
        warnings: one line each.
    """

    images: tuple[SplitImage, ...]
    skipped: tuple[UnusableFile, ...]
    dropped: tuple[Leak, ...]
    allowed: tuple[Leak, ...]
    warnings: tuple[str, ...]


def check_images(
    parts: Parts,
    labels: Sequence[str],
    unusable: Sequence[UnusableFile],
    policy: Policy,
    watch: Callable[[int], None] | None = None,
) -> ImageCheck:
    """Decodes every image and applies the policy to unusable files, groups and leaks.

    Args:
        parts: the samples of each split, each image once.
        labels: names of the classes.
        unusable: files already known to be unusable.
        policy: what to do about unusable files and leaks.
        watch: called with the number of images decoded so far.

    Raises:
        DataError: as `Splits.check`.
    """
    _check_groups(parts, policy.split_by)
    images, skipped = _fingerprint_images(parts, labels, unusable, watch)
    if skipped:
        _report_unusable(skipped, policy.on_bad_image)
    exact = find_exact_leaks(images)
    images = _drop_leaks(images, exact, "on_leak", policy.on_leak)
    near = find_near_leaks(images)
    images = _drop_leaks(images, near, "on_near_duplicate", policy.on_near_duplicate)
    dropped, allowed = ([*exact, *near], []) if policy.on_near_duplicate == "drop" else (exact, near)
    return ImageCheck(
        images=tuple(images),
        skipped=tuple(skipped),
        dropped=tuple(dropped),
        allowed=tuple(allowed),
        warnings=_list_warnings(images, skipped, len(exact) + len(near)),
    )


def check_classes(parts: Parts, labels: Sequence[str], needs: Sequence[str], notes: Sequence[str] = ()) -> None:
    """Raises DataError unless each split in `needs` has images, and each split with images has all classes.

    Args:
        parts: the samples of each split.
        labels: names of the classes.
        needs: splits that must not be empty.
        notes: remarks on what was left out, which may be why.
    """
    try:
        _check_classes(parts, labels, needs)
    except DataError as error:
        raise DataError(f"{error}\n{_format_list('notes', notes)}" if notes else str(error)) from None


def _check_classes(parts: Parts, labels: Sequence[str], needs: Sequence[str]) -> None:
    if len(labels) < 2:
        raise DataError(
            f"a classifier needs at least two classes, found {', '.join(labels) or 'none'}; where labels are in a "
            "table, read that (Splits.from_manifest)"
        )
    sizes = ", ".join(f"{name} {len(parts[name])}" for name in SPLITS)
    empty = [name for name in needs if not parts[name]]
    if empty:
        raise DataError(f"no images in the split{'s' * (len(empty) > 1)} {', '.join(empty)}; the splits have {sizes}")
    counts = count_images(parts, labels)
    unseen = [label for label in labels if not any(counts[name][label] for name in counts)]
    if unseen:
        raise DataError(
            _format_list("classes without images", unseen)
            + f"\nThe splits have {sizes}. Add images, or remove the class folders; for a dataset that was filtered, "
            "write the names of the classes into a new column (.map) and choose it with label="
        )
    missing = [f"{name} has no {label}" for name in counts for label in labels if not counts[name][label]]
    if missing:
        raise DataError(_format_list("every split needs every class", missing) + f"\nThe splits have {sizes}")


def count_images(parts: Parts, labels: Sequence[str]) -> dict[str, dict[str, int]]:
    """Images by split and class; empty splits are left out."""
    counts = {name: dict.fromkeys(labels, 0) for name in SPLITS if parts[name]}
    for name, by_label in counts.items():
        for sample in parts[name]:
            by_label[labels[sample.label]] += 1
    return counts


def _fingerprint_images(
    parts: Parts, labels: Sequence[str], unusable: Sequence[UnusableFile], watch: Callable[[int], None] | None
) -> tuple[list[SplitImage], list[UnusableFile]]:
    """Every readable image with its fingerprint, and every unusable file."""
    samples = [(name, sample) for name, split in parts.items() for sample in split]
    images, skipped = [], list(unusable)
    fingerprints = compute_fingerprints([sample for _, sample in samples], watch)
    for (name, sample), result in zip(samples, fingerprints, strict=True):
        if isinstance(result, DataError):
            file = display_name(sample)
            skipped.append(UnusableFile(file, str(result).removeprefix(f"{file}: "), name, labels[sample.label]))
        else:
            images.append(SplitImage(name, sample, result))
    return images, skipped


def _report_unusable(skipped: Sequence[UnusableFile], choice: str) -> None:
    message = _format_list("unusable images", [f"{unusable.file}: {unusable.reason}" for unusable in skipped])
    if choice == "error":
        raise DataError(f"{message}\nRepair or remove them, or set on_bad_image = 'skip'")
    warnings.warn(f"skipped {message}", DataWarning, stacklevel=4)


def _check_groups(parts: Parts, group: str | None) -> None:
    split_of: dict[str, str] = {}
    for name, samples in parts.items() if group else ():
        for sample in samples:
            value = sample.groups.get(group or "", "")
            if not value:
                raise DataError(f"split_by = {group!r}: {display_name(sample)} ({name}) has no {group}")
            if split_of.setdefault(value, name) != name:
                raise DataError(f"split_by = {group!r}: {group} {value!r} is in both {split_of[value]} and {name}")


def _drop_leaks(images: Sequence[SplitImage], leaks: Sequence[Leak], setting: str, choice: str) -> list[SplitImage]:
    """The images that remain; raises DataError where the policy is "error" and there are leaks."""
    if not leaks or choice == "allow":
        return list(images)
    if choice == "error":
        others = "'drop'" if setting == "on_leak" else "'drop' or 'allow'"
        message = _format_list("images in two splits", leaks)
        raise DataError(f"{message}\nRemove one of each pair, or set {setting} = {others}")
    dropped = {(leak.dropped_split, leak.dropped_id) for leak in leaks}
    return [image for image in images if (image.split, image.sample.id) not in dropped]


def _list_warnings(images: Sequence[SplitImage], skipped: Sequence[UnusableFile], leaks: int) -> tuple[str, ...]:
    lines = []
    if skipped:
        lines.append(f"{len(skipped)} unusable images were skipped")
    if leaks:
        lines.append(f"{leaks} images were in two splits, as exact or near-duplicates")
    pairs = [f"{one.file} and {other.file}" for one, other in find_label_conflicts(images)]
    if pairs:
        lines.append(_format_list("the same image with two labels", pairs))
    copies = [f"{same[0].file} ({same[0].split}), {len(same)} times" for same in find_copies(images)]
    if copies:
        lines.append(_format_list("images that are in one split more than once", copies))
    counts = Counter(image.sample.label for image in images if image.split == "train").values()
    if counts and max(counts) > _IMBALANCED * min(counts):
        lines.append(f"train is imbalanced: {min(counts)} to {max(counts)} images per class")
    return tuple(lines)


def _format_list(heading: str, items: Sequence[object]) -> str:
    """A heading with the number of items, then the first of them, one per line."""
    lines = [f"{heading} ({len(items)}):", *(f"  {item}" for item in items[:_SHOWN])]
    if len(items) > _SHOWN:
        lines.append(f"  … and {len(items) - _SHOWN} more")
    return "\n".join(lines)
