"""What the image filter rejected, and why: counts by check, with examples."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from .schema_cases import ImageRow
from .schema_report import Report
from .thumbnails import Pictures, Rank

MOST_EXAMPLES = 6
SIDE = 112


@dataclass(frozen=True)
class RejectedExample:
    """A rejected image: the mistake it was made for, and the number of its picture; None where there is none."""

    case: str
    row: ImageRow
    picture: int | None


@dataclass(frozen=True)
class Rejections:
    """The images that one check rejected, or that could not be made."""

    check: str
    count: int
    examples: tuple[RejectedExample, ...]


def select_rejections(report: Report, pictures: Pictures) -> tuple[Rejections, ...]:
    """One entry a check, the most frequent first."""
    by_check: dict[str, list[tuple[str, ImageRow]]] = defaultdict(list)
    for case in report.cases:
        for image in case.images:
            if not image.kept:
                by_check[image.check or "rejected"].append((case.id, image))
    counts = {check: len(found) for check, found in by_check.items()} | report.images.rejected
    return tuple(
        Rejections(check, counts[check], tuple(_example(*one, pictures) for one in by_check[check][:MOST_EXAMPLES]))
        for check in sorted(counts, key=lambda check: (-counts[check], check))
    )


def _example(case: str, row: ImageRow, pictures: Pictures) -> RejectedExample:
    return RejectedExample(case, row, pictures.add(row.blob, SIDE, Rank.EXAMPLE) if row.blob else None)
