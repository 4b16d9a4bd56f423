"""The splits of a run as a manifest: which file is in which split, for the run folder and for the next run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..records import Sample
from ..tables import format_csv
from .image_file import ImageFile
from .leaks import display_name

if TYPE_CHECKING:
    from .splits import Splits

FILE, IMAGE, ID = "file", "image", "id"


def format_splits(splits: Splits) -> str:
    """The splits as CSV: one line an image, with its file relative to the data folder, label, split, groups and id.

    `Splits.from_manifest` reads it back, with the data folder as root, into splits of the same digest. Images that lie
    in no file, such as rows of a dataset, are named in a column "image" instead of "file", and no manifest has them.

    Args:
        splits: as they were checked.
    """
    # Gone through again and again, but never held as rows: there may be millions.
    named_by = FILE if all(isinstance(sample.opener, ImageFile) for _, sample in _each(splits)) else IMAGE
    groups = sorted({group for _, sample in _each(splits) for group in sample.groups})
    weight = ["weight"] if any(sample.weight != 1 for _, sample in _each(splits)) else []
    columns = [named_by, "label", "split", *weight, *(f"group:{group}" for group in groups), ID]
    rows = (
        {
            named_by: display_name(sample),
            "label": splits.labels[sample.label],
            "split": name,
            "weight": sample.weight,
            **{f"group:{group}": sample.groups.get(group, "") for group in groups},
            ID: sample.id,
        }
        for name, sample in _each(splits)
    )
    return format_csv(rows, columns)


def _each(splits: Splits) -> Iterator[tuple[str, Sample]]:
    """The samples of all splits, each with the name of its split."""
    return ((name, sample) for name in splits.distinct for sample in splits[name])
