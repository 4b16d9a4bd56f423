"""Tests of causes on the page: the verdicts, and pictures before and after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .schema_causes import EditedImageRow, TestedCauseRow
from .schema_report import Report
from .thumbnails import Pictures, Rank

MOST_CAUSES = 40
SIDE = 144


@dataclass(frozen=True)
class CausePicture:
    """The number of a picture, with its text."""

    picture: int
    alt: str
    caption: str


@dataclass(frozen=True)
class ShownCause:
    """One verdict with its pictures."""

    row: TestedCauseRow
    images: tuple[CausePicture, ...]


def select_causes(report: Report, pictures: Pictures) -> tuple[ShownCause, ...]:
    """At most 40 verdicts, the largest slices first."""
    return tuple(ShownCause(row, tuple(_pictures(row, pictures))) for row in report.causes[:MOST_CAUSES])


def _pictures(row: TestedCauseRow, pictures: Pictures) -> Iterator[CausePicture]:
    for kind, images in (("mistake", row.mistakes), ("correct image", row.of_correct)):
        for image in images:
            yield from _show(kind, image, pictures)


def _show(kind: str, image: EditedImageRow, pictures: Pictures) -> Iterator[CausePicture]:
    edits = (
        (image.before, kind),
        (image.after, "after the cause's edit"),
        (image.elsewhere, "the same edit elsewhere"),
    )
    for (blob, what), right in zip(edits, image.right, strict=True):
        caption = f"{what}: {'right' if right else 'wrong'}"
        yield CausePicture(pictures.add(blob, SIDE, Rank.EXAMPLE), f"{kind} {image.id[:8]}, {caption}", caption)
