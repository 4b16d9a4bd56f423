"""The labelled images of an experiment, by split."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from ..errors import DataWarning
from ..records import JSON, Sample
from .entries import SPLITS, Scan, UnusableFile
from .folder import scan_folder
from .hugging_face import Columns, scan_datasets
from .label_names import refuse_folder_names, refuse_unusable_names, warn_of_variants
from .leaks import Leak, SplitImage
from .manifest import scan_manifest
from .masks import link_masks
from .split_check import check_classes, check_images, count_images
from .split_options import DEFAULT_POLICY, Policy, SplitOptions, check_options, to_decoder, to_policy
from .splitting import assign_splits

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict  # type: ignore[import-untyped]


@dataclass(frozen=True, repr=False)
class Splits:
    """Labelled images, divided into splits; nothing is decoded until it is needed.

    Attributes:
        labels: names of the classes, sorted; the same for every split.
        train: what the classifier learns from.
        guide: where the mistakes that steer the synthesis come from.
        validation: for the learning curves.
        test: for the one evaluation at the end.
        reserve: real images held out from train.
        guide_is_validation: whether guide and validation are the same images.
        unusable: files that look like images but cannot be used.
        notes: remarks from the scan of the data, one line each.
        policy: what `check` does about unusable files and leaks.
        given: the splits that the source defines itself; empty where all were drawn.
        table: the table `[data]` of settings that reads the same; empty where none can, as for a dataset in memory.
    """

    labels: tuple[str, ...]
    train: Sequence[Sample] = ()
    guide: Sequence[Sample] = ()
    validation: Sequence[Sample] = ()
    test: Sequence[Sample] = ()
    reserve: Sequence[Sample] = ()
    guide_is_validation: bool = False
    unusable: tuple[UnusableFile, ...] = ()
    notes: tuple[str, ...] = ()
    policy: Policy = DEFAULT_POLICY
    given: tuple[str, ...] = ()
    table: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Sequence[Sample]:
        """The samples of a split, by its name."""
        if name not in SPLITS:
            raise KeyError(f"no split {name!r}; splits are {', '.join(SPLITS)}")
        samples: Sequence[Sample] = getattr(self, name)
        return samples

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name}={len(self[name])}" for name in SPLITS)
        return f"Splits({len(self.labels)} labels, {sizes})"

    @property
    def distinct(self) -> tuple[str, ...]:
        """Names of the non-empty splits; without guide where it is the same as validation."""
        return tuple(name for name in SPLITS if self[name] and not (name == "guide" and self.guide_is_validation))

    @cached_property
    def digest(self) -> str:
        """20 hex digits over the labels, and over id, label, groups and weight of every sample in every split."""
        digest = hashlib.blake2b(json.dumps([self.labels, self.guide_is_validation]).encode(), digest_size=10)
        for name in SPLITS:
            for sample in self[name]:
                row = [name, sample.id, sample.label, sorted(sample.groups.items()), sample.weight]
                digest.update(json.dumps(row).encode())
        return digest.hexdigest()

    def check(
        self,
        needs: Sequence[str] = ("train", "guide", "test"),
        unused: Sequence[str] = (),
        watch: Callable[[int], None] | None = None,
    ) -> DataCheck:
        """Decodes every image and reports problems that would spoil a run: unusable files, missing classes, leaks.

        Args:
            needs: splits that must not be empty.
            unused: splits whose images are not looked at, and so are in no finding: only for those that nothing uses.
            watch: called with the number of images decoded so far; what it raises ends the check.

        Returns:
            What was counted, skipped and dropped, with the splits that remain.

        Raises:
            DataError: a class, a label or a needed split is missing, an image cannot be read or is too large, or an
                image is in two splits; it names the files.
        """
        # Unusable files explain a missing class, so they are reported first.
        if not self.unusable:
            check_classes(self._parts(SPLITS), self.labels, needs, self.notes)
        looked_at = tuple(name for name in self.distinct if name not in unused)
        result = check_images(self._parts(looked_at), self.labels, self.unusable, self.policy, watch)
        remaining = self._keep(result.images, looked_at)
        left_out = [
            f"{name} was not checked for unreadable images and leaks, since nothing uses it"
            for name in self.distinct
            if name in unused
        ]
        parts = remaining._parts(SPLITS)
        check_classes(parts, self.labels, needs, self.notes)
        return DataCheck(
            counts=count_images(parts, self.labels),
            skipped=result.skipped,
            dropped=result.dropped,
            allowed=result.allowed,
            warnings=(*self.notes, *result.warnings, *left_out),
            splits=remaining,
            images=result.images,
        )

    def _parts(self, names: Sequence[str]) -> dict[str, Sequence[Sample]]:
        return {name: self[name] for name in names}

    def _keep(self, images: Sequence[SplitImage], looked_at: Sequence[str]) -> Splits:
        """The splits with these images only, where they were looked at; the very same object where none is missing."""
        if len(images) == sum(len(self[name]) for name in looked_at):
            return self
        parts = {name: tuple(image.sample for image in images if image.split == name) for name in looked_at}
        if self.guide_is_validation and "validation" in parts:
            parts["guide"] = parts["validation"]
        return replace(self, unusable=(), notes=(), **parts)  # type: ignore[arg-type]

    def link_masks(self, masks: str | Path, into: str | Path) -> int:
        """Copies each image's subject mask to `into/ID.png`, for a synthesizer; returns how many images have one.

        Args:
            masks: folder of masks named like their images: `1.png`, `cat/1.png` or `train/cat/1.png` for
                `train/cat/1.jpg`.
            into: folder for the copies.

        Raises:
            DataError: no mask matches an image, one matches two images, or one cannot be read; it names the files.
        """
        return link_masks((sample for name in self.distinct for sample in self[name]), masks, into)

    @classmethod
    def from_folder(cls, folder: str | Path, **options: Unpack[SplitOptions]) -> Splits:
        """Splits from a folder of images: `split/class/image`, or `class/image` to be divided by fractions.

        In `split/class/image`, a split folder takes precedence over its fraction. A missing split is drawn from train,
        except test, which never is.

        Args:
            folder: the root; split folders are train, guide, validation (valid, val), test and reserve.
            **options: see `SplitOptions`.

        Raises:
            DataError: the folder is missing, its layout is unclear, a class is too small to divide, or there is a
                train but no test folder.
            ConfigError: an option is unknown or invalid.

        Warns:
            DataWarning: names of classes are nearly the same.
        """
        check_options(options)
        table: dict[str, Any] = {"folder": Path(folder).absolute(), **options}
        return cls._from_scan(scan_folder(folder, to_decoder(options)), options, table)

    @classmethod
    def from_manifest(
        cls,
        path: str | Path,
        root: str | Path | None = None,
        *,
        groups: Sequence[str] = (),
        **options: Unpack[SplitOptions],
    ) -> Splits:
        """Splits from a CSV file with the columns file and label, and optionally split, weight and `group:NAME`.

        Upper case, blanks around a name and the delimiter do not matter.

        Args:
            path: the CSV file, UTF-8, with a header. Other columns are ignored, and `notes` names them.
            root: folder the files are relative to; None: the folder of the CSV file. No file may lie outside it.
            groups: names of further columns to use as groups.
            **options: see `SplitOptions`.

        Raises:
            DataError: the table or one of its rows cannot be used; it names the line.
            ConfigError: an option is unknown or invalid.
        """
        check_options(options)
        table: dict[str, Any] = {"manifest": Path(path).absolute(), **options}
        if root is not None:
            table["folder"] = Path(root).absolute()
        return cls._from_scan(scan_manifest(path, root, groups, to_decoder(options)), options, table)

    @classmethod
    def from_datasets(
        cls,
        data: Dataset | DatasetDict,
        *,
        image: str = "image",
        label: str = "label",
        groups: Sequence[str] = (),
        weight: str | None = None,
        **options: Unpack[SplitOptions],
    ) -> Splits:
        """Splits from a Hugging Face dataset, or from a dictionary of datasets by split.

        Args:
            data: with a column of type `datasets.Image`; rows are only read when needed.
            image: name of the image column.
            label: name of the label column: a `ClassLabel`, or class names.
            groups: names of the group columns.
            weight: name of the column with each image's weight in training.
            **options: see `SplitOptions`.

        Raises:
            DataError: it is not such a dataset, or lacks a column.
            ConfigError: an option is unknown or invalid.
        """
        check_options(options)
        columns = Columns(image, label, tuple(groups), weight)
        return cls._from_scan(scan_datasets(data, columns, to_decoder(options)), options, {})

    @classmethod
    def _from_scan(cls, scan: Scan, options: SplitOptions, table: Mapping[str, Any]) -> Splits:
        refuse_unusable_names(scan.labels)
        refuse_folder_names({entry.label for entry in scan.entries})
        samples, notes = assign_splits(scan, options)
        for variants in warn_of_variants(scan.labels):
            # Said at once, since it may take hours until a report shows the notes.
            warnings.warn(variants, DataWarning, stacklevel=3)
        return cls(
            scan.labels,
            **samples,
            guide_is_validation=options.get("guide") == "validation",
            unusable=scan.unusable,
            notes=(*scan.notes, *notes),
            policy=to_policy(options),
            given=scan.splits,
            table=table,
        )


@dataclass(frozen=True)
class DataCheck:
    """What `Splits.check` counted, skipped and dropped.

    Attributes:
        counts: images by split and class, after the check.
        skipped: files left out because they are unusable.
        dropped: images left out because they are also in another split.
        allowed: near-duplicates in two splits that the policy allows.
        warnings: one line each.
        splits: the splits that remain.
        images: every image that remains, with its fingerprint.
    """

    counts: dict[str, dict[str, int]]
    skipped: tuple[UnusableFile, ...]
    dropped: tuple[Leak, ...]
    allowed: tuple[Leak, ...]
    warnings: tuple[str, ...]
    splits: Splits = field(repr=False)
    images: tuple[SplitImage, ...] = field(repr=False)

    def to_json(self) -> dict[str, JSON]:
        """Everything but the splits and the images."""
        return {
            "counts": self.counts,
            "skipped": [unusable.to_json() for unusable in self.skipped],
            "dropped": [leak.to_json() for leak in self.dropped],
            "allowed": [leak.to_json() for leak in self.allowed],
            "warnings": list(self.warnings),
        }
