"""Whether a run folder holds what its ledger says: blobs, models and the ancestry of every image."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import RunFolderError
from .models import is_whole
from .money import Money
from .reader import Reader
from .references import referenced


def problems(reader: Reader) -> list[str]:
    """What is wrong, a line each; none when the run folder is whole."""
    return [*_ledger(reader), *_files(reader), *_replies(reader), *_ancestry(reader)]


def _ledger(reader: Reader) -> Iterator[str]:
    for line in reader.ledger.integrity():
        yield f"ledger: {line}"


def _files(reader: Reader) -> Iterator[str]:
    for stage in reader.stages():
        for row in reader.rows(stage):
            for kind, value in referenced(row):
                if kind == "model":
                    if not is_whole(reader.folder, value):
                        yield f"{stage}: the model {value['folder']} is not what was written"
                    continue
                try:
                    reader.blobs.read(value)
                except RunFolderError as error:
                    yield f"{stage}: {error}"


def _replies(reader: Reader) -> Iterator[str]:
    for name in sorted(Money(reader.ledger, reader.blobs).blobs()):
        try:
            reader.blobs.read(name)
        except RunFolderError as error:
            yield f"paid calls: {error}"


def _ancestry(reader: Reader) -> Iterator[str]:
    known = {stage: {row["id"] for row in reader.rows(stage)} for stage in ("explain", "critique")}
    made = [(stage, row) for stage in reader.stages() if stage.startswith("synthesize/") for row in reader.rows(stage)]
    for stage, row in made:
        for parent, ids in known.items():
            if row["case"] not in ids:
                yield f"{stage}: image {row['index']} of case {row['case']} has no row in {parent}"
    blobs = {row["image"]["blob"] for _, row in made if "image" in row}
    for told in reader.fact("images") or []:
        for blob in told["used"]:
            if blob not in blobs:
                yield f"arms {', '.join(told['arms'])} train on {blob}, which no synthesis made"
