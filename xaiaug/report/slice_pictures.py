"""Slices on the page: names, counts and examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from .schema_report import Report
from .schema_slices import SliceRow
from .thumbnails import Pictures, Rank

MOST_SLICES = 20
MOST_EACH = 8
SIDE = 96


@dataclass(frozen=True)
class ShownSlice:
    """One slice with its pictures.

    Attributes:
        row: the slice.
        number: in the report, from 0.
        examples: its most typical mistakes: id, and number of the picture.
        contrast: pictures of correct images of the class outside it.
    """

    row: SliceRow
    number: int
    examples: tuple[tuple[str, int], ...]
    contrast: tuple[int, ...]


def select_slices(report: Report, pictures: Pictures) -> tuple[ShownSlice, ...]:
    """At most 20 slices, those with most mistakes first."""
    if report.slices is None:
        return ()
    mistakes = {case.id: case.image for case in report.cases if case.image}
    correct = {image.id: image.image for image in report.slices.contrast}
    return tuple(
        ShownSlice(
            row,
            number,
            tuple(_order(row.examples, mistakes, pictures)),
            tuple(picture for _, picture in _order(row.contrast, correct, pictures)),
        )
        for number, row in enumerate(report.slices.slices[:MOST_SLICES])
    )


def _order(ids: Iterable[str], blobs: Mapping[str, str], pictures: Pictures) -> Iterator[tuple[str, int]]:
    known = [image_id for image_id in ids if image_id in blobs]
    for image_id in known[:MOST_EACH]:
        yield image_id, pictures.add(blobs[image_id], SIDE, Rank.EXAMPLE)
