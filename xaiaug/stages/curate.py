"""Filters the images just made: which are kept, and why the others are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..curation import ImageDescription, ImageFilter
from ..records import JSON
from ..records.pipeline import StageKind
from ..store.blobs import Blobs
from ..store.schema import Wave
from ..store.stage_rows import DescriptionRow, SynthesisRow, VerdictRow
from .chunks import Item, Stage, complete
from .lazy import Lazy
from .runtime import StageRuntime

CHUNK = 32  # images that a worker looks at in one go


@dataclass(frozen=True)
class _Describe:
    image_filter: ImageFilter
    blobs: Blobs

    def __call__(self, rows: list[SynthesisRow]) -> list[Any]:
        images = Lazy(len(rows), lambda i: self.blobs.image(rows[i]["image"]["blob"]))
        parents = [{row["case"], row.get("base", "")} for row in rows]
        described = self.image_filter.describe(images, [row["label"] for row in rows], parents)
        return [image.to_json() for image in described]


@dataclass(frozen=True)
class _Compare:
    image_filter: ImageFilter
    seen: Sequence[str]
    described: Sequence[DescriptionRow]

    def __call__(self, rows: list[SynthesisRow]) -> list[Any]:
        verdicts = iter(self.image_filter.compare(map(ImageDescription.from_json, self.described), self.seen))
        return [next(verdicts).to_json() if "image" in row else _verdict_on_failure(row) for row in rows]


def curate(
    runtime: StageRuntime,
    wave: Wave,
    image_filter: ImageFilter,
    filter_key: JSON,
    seen: Sequence[str],
    rows: Sequence[SynthesisRow],
) -> Sequence[VerdictRow]:
    """One verdict a row of the synthesis, in order.

    Args:
        runtime: where the verdicts are kept.
        wave: which images they are.
        image_filter: the checks.
        filter_key: what the verdicts depend on.
        seen: fingerprints of the images kept before.
        rows: of the synthesis.
    """
    made = [Item(row, row) for row in rows if "image" in row]
    title = wave.name_work("check new images")
    stage = Stage(wave.stage(StageKind.DESCRIBE), title, {"filter": filter_key}, CHUNK, spread=True)
    described = complete(runtime, stage, made, _Describe(image_filter, runtime.store.blobs))
    # One chunk: whether an image repeats another depends on all that were kept before it.
    basis = {"filter": filter_key, "seen": list(seen)}
    title = wave.name_work("compare new images")
    stage = Stage(wave.stage(StageKind.CURATE), title, basis, max(1, len(rows)))
    return complete(runtime, stage, [Item(row, row) for row in rows], _Compare(image_filter, seen, described))


def _verdict_on_failure(row: SynthesisRow) -> VerdictRow:
    failure = row["failure"]
    return VerdictRow(kept=False, check=failure["kind"], reason=failure["message"], score=None, fingerprint=None)
