"""The images that arms train on, as an image folder that loads without xaiaug."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..records import Critique, Failure
from .desk import Desk
from .images import Image
from .mistakes import Mistake

ROW = ("label", "index", "seed", "prompt", "dropped", "details")


def export(
    desk: Desk,
    images: Mapping[tuple[str, int], Sequence[Image]],
    cases: Mapping[tuple[str, int], Sequence[tuple[Mistake, Any, Critique | Failure]]],
) -> None:
    """Writes synthetic/<class>/*.png and metadata.jsonl, each line with the whole ancestry of its image.

    Args:
        desk: where the images are kept.
        images: by name of the source and seed of the repetition.
        cases: likewise: mistake, row of the explain stage, critique.
    """
    files = []
    for (source, repetition), made in images.items():
        ancestry = {case[0].sample.id: _ancestry(*case) for case in cases[source, repetition]}
        for image in made:
            row, blob = image.row, image.row["image"]["blob"]
            stem = f"{row['case'][:12]}-{row['index']}-{repetition}-{blob[:8]}"
            origin = {"source": source, "repetition": repetition, **{name: row[name] for name in ROW}}
            files.append((f"{_folder(row['label'])}/{stem}.png", blob, {**origin, **ancestry[row["case"]]}))
    desk.store.write_synthetic(files)


def _ancestry(mistake: Mistake, row: Any, critique: Critique | Failure) -> dict[str, Any]:
    heatmap = row["predicted"].get("heatmap")
    return {
        "case": mistake.sample.id,
        "predicted_index": mistake.predicted,
        "heatmap": heatmap["blob"] if heatmap else None,
        "method": row["predicted"].get("method"),
        "cause": critique.cause if isinstance(critique, Critique) else None,
    }


def _folder(label: str) -> str:
    return re.sub(r"[^\w.+ -]", "_", label).strip(". ") or "_"
