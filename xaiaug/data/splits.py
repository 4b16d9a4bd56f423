"""The labelled images of an experiment, by split."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from ..records import Sample
from .entries import SPLITS, Found, Refusal
from .folder import find_in_folder
from .hugging_face import Columns, find_in_datasets
from .manifest import find_in_manifest
from .masks import link_masks
from .options import DEFAULT_POLICY, Options, Policy, check_options, to_policy, to_reading
from .splitting import divide

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict  # type: ignore[import-untyped]

    from .split_check import DataCheck


@dataclass(frozen=True, repr=False)
class Splits:
    """Labelled images, divided into splits; nothing is decoded before it is needed.

    Attributes:
        labels: names of the classes, sorted; the same for every split.
        train: what the classifier learns from.
        guide: what the mistakes that steer the synthesis are taken from.
        validation: for the curves.
        test: for the one evaluation at the end.
        reserve: real images kept back from train.
        guide_is_validation: whether guide and validation are the same images.
        refused: files that were found but may not be used.
        notes: what was noticed while looking for images, a line each.
        policy: what `check` does when it meets something that must not be.
    """

    labels: tuple[str, ...]
    train: Sequence[Sample] = ()
    guide: Sequence[Sample] = ()
    validation: Sequence[Sample] = ()
    test: Sequence[Sample] = ()
    reserve: Sequence[Sample] = ()
    guide_is_validation: bool = False
    refused: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()
    policy: Policy = DEFAULT_POLICY

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
        """Names of the splits that have images of their own: without guide where validation stands in for it."""
        return tuple(name for name in SPLITS if self[name] and not (name == "guide" and self.guide_is_validation))

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the labels, and of id, label, groups and weight of every sample of every split."""
        digest = hashlib.blake2b(json.dumps([self.labels, self.guide_is_validation]).encode(), digest_size=10)
        for name in SPLITS:
            for sample in self[name]:
                row = [name, sample.id, sample.label, sorted(sample.groups.items()), sample.weight]
                digest.update(json.dumps(row).encode())
        return digest.hexdigest()

    def check(self, needs: Sequence[str] = ("train", "guide", "test")) -> DataCheck:
        """Reads every image, and says what is wrong before a run finds out the hard way.

        Args:
            needs: splits that must not be empty.

        Returns:
            What was counted, skipped and dropped, with the splits that are left.

        Raises:
            DataError: a class, a label or a needed split is missing, an image cannot be read or is too large, or an
                image is in two splits; it names the files.
        """
        from .split_check import check_splits

        return check_splits(self, needs)

    def link_masks(self, masks: str | Path, into: str | Path) -> int:
        """Copies each image's mask of its subject to `into/ID.png`, for a synthesizer; how many images have one.

        Args:
            masks: folder of masks called like their images: `1.png`, `cat/1.png` or `train/cat/1.png` for
                `train/cat/1.jpg`.
            into: folder for the copies.

        Raises:
            DataError: no mask fits, one fits two images, or one cannot be read; it names the files.
        """
        return link_masks((sample for name in self.distinct for sample in self[name]), masks, into)

    @classmethod
    def from_folder(cls, folder: str | Path, **options: Unpack[Options]) -> Splits:
        """Splits from a folder of images: `split/class/image`, or `class/image` to be divided by fractions.

        In `split/class/image` a split that is there wins over its fraction; one that is missing is drawn from train,
        but never test.

        Args:
            folder: the root; splits are called train, guide, validation (valid, val), test and reserve.
            **options: see `Options`.

        Raises:
            DataError: the folder is missing or its layout cannot be told, a class is too small to be divided, or there
                is a train but no test folder.
            ConfigError: an option is unknown or impossible.
        """
        check_options(options)
        return cls._divided(find_in_folder(folder, to_reading(options)), options)

    @classmethod
    def from_manifest(
        cls, path: str | Path, root: str | Path | None = None, *, groups: Sequence[str] = (), **options: Unpack[Options]
    ) -> Splits:
        """Splits from a CSV file with the columns file, label and, if you like, split, weight and `group:NAME`.

        Args:
            path: the CSV file, UTF-8, with a header. Further columns are left alone.
            root: folder the files are relative to; None: the folder of the CSV file. No file may lie outside of it.
            groups: names of further columns that are groups.
            **options: see `Options`.

        Raises:
            DataError: the table or a row of it cannot be used; it names the line.
            ConfigError: an option is unknown or impossible.
        """
        check_options(options)
        return cls._divided(find_in_manifest(path, root, groups, to_reading(options)), options)

    @classmethod
    def from_datasets(
        cls,
        data: Dataset | DatasetDict,
        *,
        image: str = "image",
        label: str = "label",
        groups: Sequence[str] = (),
        weight: str | None = None,
        **options: Unpack[Options],
    ) -> Splits:
        """Splits from a Hugging Face data set, or from a dictionary of them by split.

        Args:
            data: with a column of type `datasets.Image`; its rows stay where they are until they are needed.
            image: name of the image column.
            label: name of the label column: a `ClassLabel`, or the names themselves.
            groups: names of columns that are groups.
            weight: name of a column that says how much an image counts in training.
            **options: see `Options`.

        Raises:
            DataError: it is no such data set, or lacks a column.
            ConfigError: an option is unknown or impossible.
        """
        check_options(options)
        columns = Columns(image, label, tuple(groups), weight)
        return cls._divided(find_in_datasets(data, columns, to_reading(options)), options)

    @classmethod
    def _divided(cls, found: Found, options: Options) -> Splits:
        samples, notes = divide(found, options)
        return cls(
            found.labels,
            **samples,
            guide_is_validation=options.get("guide") == "validation",
            refused=found.refused,
            notes=(*found.notes, *notes),
            policy=to_policy(options),
        )
