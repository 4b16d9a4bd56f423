"""The mistakes on the page: which are shown, and their pictures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

from .schema_cases import CaseRow, ImageRow
from .schema_report import Report
from .thumbnails import Thumbnail, Thumbnails

MOST_CASES = 200
MOST_KEPT = 6
MOST_REJECTED = 4
IMAGE_SIDE = 160
PANEL_SIDE = 400
SYNTHETIC_SIDE = 112

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class ShownImage:
    """A synthetic image with its picture; None if generating it failed."""

    row: ImageRow
    picture: Thumbnail | None


@dataclass(frozen=True)
class GuidanceEntry:
    """One entry of the guidance; `colour` is set if the value is a colour."""

    name: str
    value: str
    colour: str = ""


@dataclass(frozen=True)
class ShownCase:
    """One mistake with everything the page shows of it.

    Attributes:
        number: position on the page, from 1.
        heatmap: the heatmap over the image.
        panel: the picture the critic saw.
        guidance: of its critique.
        kept, rejected: the images shown.
        kept_count, rejected_count: how many there are.
        dropped: all words that were cut from its prompts.
    """

    number: int
    row: CaseRow
    image: Thumbnail | None
    heatmap: Thumbnail | None
    panel: Thumbnail | None
    guidance: tuple[GuidanceEntry, ...]
    kept: tuple[ShownImage, ...]
    rejected: tuple[ShownImage, ...]
    kept_count: int
    rejected_count: int
    dropped: tuple[str, ...]


def select_cases(report: Report, pictures: Thumbnails) -> tuple[ShownCase, ...]:
    """At most 200 cases: the first of each pair of classes, then the second of each, and so on."""
    by_pair: dict[tuple[str, str], list[CaseRow]] = {}
    for row in report.cases:
        by_pair.setdefault((row.label, row.predicted), []).append(row)
    in_turn = chain.from_iterable(zip_longest(*by_pair.values()))
    chosen = [row for row in in_turn if row is not None][:MOST_CASES]
    return tuple(_show_case(number, row, pictures) for number, row in enumerate(chosen, 1))


def _show_case(number: int, row: CaseRow, pictures: Thumbnails) -> ShownCase:
    kept = [image for image in row.images if image.kept]
    rejected = [image for image in row.images if not image.kept]
    return ShownCase(
        number=number,
        row=row,
        image=pictures(row.image, IMAGE_SIDE) if row.image else None,
        heatmap=_heatmap(row, pictures),
        panel=pictures(row.panel, PANEL_SIDE) if row.panel else None,
        guidance=_guidance_entries(row),
        kept=_add_pictures(kept[:MOST_KEPT], pictures),
        rejected=_add_pictures(rejected[:MOST_REJECTED], pictures),
        kept_count=len(kept),
        rejected_count=len(rejected),
        dropped=tuple(dict.fromkeys(word for image in row.images for word in image.dropped)),
    )


def _heatmap(row: CaseRow, pictures: Thumbnails) -> Thumbnail | None:
    if not row.image or not row.heatmap:
        return None
    # `degenerate` is a property of the grid, which the report does not hold; the upscaled map may look different.
    return pictures.overlay(row.image, None if row.degenerate else row.heatmap, IMAGE_SIDE)


def _add_pictures(images: Sequence[ImageRow], pictures: Thumbnails) -> tuple[ShownImage, ...]:
    return tuple(ShownImage(row, pictures(row.blob, SYNTHETIC_SIDE) if row.blob else None) for row in images)


def _guidance_entries(row: CaseRow) -> tuple[GuidanceEntry, ...]:
    guidance: Iterable[tuple[str, str | float]] = row.critique.guidance.items() if row.critique else ()
    return tuple(_guidance_entry(name.replace("_", " "), value) for name, value in guidance)


def _guidance_entry(name: str, value: str | float) -> GuidanceEntry:
    text = value if isinstance(value, str) else f"{value:.2f}"
    return GuidanceEntry(name, text, text if _COLOUR.fullmatch(text) else "")
