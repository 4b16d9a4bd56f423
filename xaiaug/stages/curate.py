"""Filters the images just made: which are kept, and why the others are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..curation import ImageFilter
from ..records import JSON
from ..records.pipeline import StageKind
from ..store.blobs import Blobs
from ..store.schema import Wave
from ..store.stage_rows import SynthesisRow, VerdictRow
from .chunks import Item, Stage, complete
from .lazy import Lazy
from .runtime import StageRuntime


@dataclass(frozen=True)
class _Work:
    image_filter: ImageFilter
    seen: tuple[str, ...]
    blobs: Blobs

    def __call__(self, rows: list[SynthesisRow]) -> list[Any]:
        made = [row for row in rows if "image" in row]
        images = Lazy(len(made), lambda i: self.blobs.image(made[i]["image"]["blob"]))
        parents = [{row["case"], row.get("base", "")} for row in made]
        verdicts = iter(self.image_filter.check(images, self.seen, [row["label"] for row in made], parents))
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
    # One chunk: whether an image repeats another depends on all that were kept before it.
    basis = {"filter": filter_key, "seen": list(seen)}
    title = wave.name_work("check new images")
    stage = Stage(wave.stage(StageKind.CURATE), title, basis, max(1, len(rows)), spread=True)
    return complete(
        runtime, stage, [Item(row, row) for row in rows], _Work(image_filter, tuple(seen), runtime.store.blobs)
    )


def _verdict_on_failure(row: SynthesisRow) -> VerdictRow:
    failure = row["failure"]
    return VerdictRow(kept=False, check=failure["kind"], reason=failure["message"], score=None, fingerprint=None)
