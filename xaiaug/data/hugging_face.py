"""Scans a Hugging Face dataset for images."""

from __future__ import annotations

import errno
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import DataError, suggest
from .decode import Decoder, digest_bytes
from .entries import Entry, Scan, UnusableFile, check_weight, digest_image
from .folder import SPLIT_FOLDERS
from .image_file import DatasetImage, read_encoded
from .label_names import normalise_label, warn_of_variants


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a dataset.

    Attributes:
        image: the images, of feature type `Image`.
        label: the classes: a `ClassLabel`, or class names.
        groups: the group columns.
        weight: how much each image counts in training; None: all the same.
    """

    image: str = "image"
    label: str = "label"
    groups: tuple[str, ...] = ()
    weight: str | None = None

    @property
    def all(self) -> tuple[str, ...]:
        """Every column that is read."""
        return (self.image, self.label, *self.groups, *((self.weight,) if self.weight else ()))


def scan_datasets(data: Any, columns: Columns, decoder: Decoder) -> Scan:
    """All images of a `datasets.Dataset`, or of each split of a `datasets.DatasetDict`.

    Raises:
        DataError: it is neither, or lacks a column or a class name.
    """
    from datasets import Dataset, DatasetDict  # type: ignore[import-untyped]

    if not isinstance(data, Dataset | DatasetDict):
        raise DataError(
            f"from_datasets: expected a datasets.Dataset or DatasetDict, got {type(data).__name__}; "
            "download a streamed dataset first"
        )
    parts: Mapping[str | None, Any] = {None: data} if isinstance(data, Dataset) else _rows_by_split(data)
    results: list[Entry | UnusableFile] = []
    labels: set[str] = set()
    for split, rows in parts.items():
        _check_columns(rows, columns)
        # Rows as they are stored: a transform or a format would give tensors, or augmented images, in their place.
        found = list(_entries(rows.with_format(None), split, columns, decoder))
        labels |= {normalise_label(name) for name in getattr(rows.features[columns.label], "names", None) or ()}
        labels |= {result.label for result in found if result.label is not None}
        results += found
    entries = tuple(result for result in results if isinstance(result, Entry))
    unusable = tuple(result for result in results if isinstance(result, UnusableFile))
    splits = tuple(split for split in parts if split)
    return Scan(tuple(sorted(labels)), entries, splits, unusable, tuple(warn_of_variants(labels)))


def _rows_by_split(data: Mapping[str, Any]) -> dict[str | None, Any]:
    parts: dict[str | None, Any] = {}
    for name, rows in data.items():
        split = SPLIT_FOLDERS.get(name.lower())
        if split is None:
            raise DataError(f"from_datasets: unknown split {name!r}. {suggest(name, SPLIT_FOLDERS)}")
        if split in parts:
            raise DataError(f"from_datasets: two of {', '.join(data)} are both the split {split}; keep one")
        parts[split] = rows
    # A dataset loaded without naming a split has all its rows in one named "train".
    return {None: parts["train"]} if set(parts) == {"train"} else parts


def _check_columns(rows: Any, columns: Columns) -> None:
    from datasets import Image

    for name in columns.all:
        if name not in rows.column_names:
            raise DataError(f"from_datasets: no column {name!r}. {suggest(name, rows.column_names)}")
    feature = rows.features[columns.image]
    if not isinstance(feature, Image):
        raise DataError(
            f"from_datasets: column {columns.image!r} must be a datasets.Image, got {type(feature).__name__}; paths, "
            f"bytes and encoded images become one by .cast_column({columns.image!r}, datasets.Image())"
        )
    if getattr(feature, "mode", None) not in (None, "RGB"):
        raise DataError(
            f"from_datasets: column {columns.image!r} is to be read in the mode {feature.mode!r}, but images are read "
            "in RGB from their bytes; convert them with .map, or cast the column to datasets.Image()"
        )


def _entries(rows: Any, split: str | None, columns: Columns, decoder: Decoder) -> Iterator[Entry | UnusableFile]:
    from datasets import Image

    encoded = rows.cast_column(columns.image, Image(decode=False))
    names = getattr(rows.features[columns.label], "names", None)
    for number, row in enumerate(encoded.select_columns(list(columns.all))):
        name = f"{split or 'row'}[{number}]"
        label = _class_name(name, row[columns.label], names)
        try:
            content = _read_bytes(row[columns.image])
        except OSError as error:
            yield UnusableFile(name, f"cannot be read ({error.strerror})", split, label)
            continue
        except DataError as error:
            yield UnusableFile(name, str(error), split, label)
            continue
        digest = digest_bytes(content)
        yield Entry(
            name=name,
            digest=digest_image(digest, decoder),
            label=label,
            opener=DatasetImage(encoded, columns.image, number, name, decoder, digest, len(content)),
            split=split,
            groups={group: _to_text(f"{name}, group {group}", row[group]) for group in columns.groups},
            weight=check_weight(f"from_datasets: {name}", row[columns.weight]) if columns.weight else 1.0,
        )


def _class_name(name: str, value: Any, names: Sequence[str] | None) -> str:
    if names is not None and isinstance(value, int):
        # datasets writes -1 where a class is unknown, and -1 would silently index the last name.
        if value != -1 and not 0 <= value < len(names):
            raise DataError(
                f"from_datasets: {name} has the class number {value}, but the column names {len(names)} classes"
            )
        value = "" if value == -1 else names[value]
    label = _to_text(name, value)
    if not label:
        raise DataError(f"from_datasets: {name} has no label; remove such rows with .filter")
    return normalise_label(label)


def _to_text(where: str, value: Any) -> str:
    """A label or group as text; empty where it is missing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():  # as tables write whole numbers where one is missing
        return str(int(value))
    if not isinstance(value, str | int | float):
        raise DataError(f"from_datasets: {where}: expected one name or number, got {type(value).__name__}")
    return str(value).strip()


def _read_bytes(image: Mapping[str, Any] | None) -> bytes:
    if image is None or (image["bytes"] is None and not image["path"]):
        raise FileNotFoundError(errno.ENOENT, "no image")
    return read_encoded(image)
