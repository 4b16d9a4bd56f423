"""Whether every new image of a run descends from a case that was explained and, where asked for, criticised."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from ..records.pipeline import StageKind
from ..store import Reader
from ..store.schema import IMAGES, Wave

PARENTS = (StageKind.EXPLAIN, StageKind.CRITIQUE)


def missing_ancestors(reader: Reader) -> Iterator[str]:
    """What is missing in the ancestry of the images, a line each; none where it is complete."""
    images = reader.get_fact(IMAGES) or []
    no_critic = {entry["name"] for entry in images if not entry["asks"]}
    known = _cases(reader)
    blobs = set()
    for stage in reader.stages():
        if stage.kind != StageKind.SYNTHESIZE:
            continue
        parents = PARENTS[:1] if Wave.of(stage).source in no_critic else PARENTS
        for row in reader.rows(stage):
            for parent in parents:
                if row["case"] not in known[stage.part, parent]:
                    yield f"{stage}: image {row['index']} of case {row['case']} has no row in {parent}"
            if "image" in row:
                blobs.add(row["image"]["blob"])
    for entry in images:
        for blob in entry["used"]:
            if blob not in blobs:
                yield f"arms {', '.join(entry['arms'])} train on {blob}, which no synthesis made"


def _cases(reader: Reader) -> dict[tuple[str, str], set[str]]:
    """Ids of the cases that were explained and criticised, by part of the run and kind of stage."""
    ids: dict[tuple[str, str], set[str]] = defaultdict(set)
    for stage in reader.stages():
        if stage.kind in PARENTS:
            ids[stage.part, stage.kind].update(row["id"] for row in reader.rows(stage))
    return ids
