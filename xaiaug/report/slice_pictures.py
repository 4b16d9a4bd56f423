"""Slices on the page: names, counts and examples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .schema_report import Report
from .schema_slices import SliceRow
from .thumbnails import Thumbnail, Thumbnails

MOST_SLICES = 20
MOST_EACH = 8
SIDE = 96


@dataclass(frozen=True)
class ShownSlice:
    """One slice with its pictures.

    Attributes:
        row: the slice.
        examples: its most typical mistakes.
        contrast: correct images of the class outside it.
    """

    row: SliceRow
    examples: tuple[Thumbnail, ...]
    contrast: tuple[Thumbnail, ...]


def select_slices(report: Report, pictures: Thumbnails) -> tuple[ShownSlice, ...]:
    """At most 20 slices, those with most mistakes first."""
    if report.slices is None:
        return ()
    mistakes = {case.id: case.image for case in report.cases if case.image}
    correct = {image.id: image.image for image in report.slices.contrast}
    return tuple(
        ShownSlice(row, _draw(row.examples, mistakes, pictures), _draw(row.contrast, correct, pictures))
        for row in report.slices.slices[:MOST_SLICES]
    )


def _draw(ids: Iterable[str], blobs: Mapping[str, str], pictures: Thumbnails) -> tuple[Thumbnail, ...]:
    known = [blobs[image_id] for image_id in ids if image_id in blobs]
    return tuple(pictures(blob, SIDE) for blob in known[:MOST_EACH])
