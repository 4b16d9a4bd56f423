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
    told = reader.fact("images") or []
    silent = {images["name"] for images in told if not images.get("asks", True)}  # sources no critic was asked for
    known = {kind: set(_ids(reader, kind)) for kind in ("explain", "critique")}
    blobs = set()
    for stage in reader.stages():
        kind, _, rest = stage.partition("/")
        for row in reader.rows(stage) if kind == "synthesize" else ():
            parents = ("explain",) if rest.rsplit("/", 2)[0] in silent else ("explain", "critique")
            for parent in parents:
                if row["case"] not in known[parent]:
                    yield f"{stage}: image {row['index']} of case {row['case']} has no row in {parent}"
            if "image" in row:
                blobs.add(row["image"]["blob"])
    for images in told:
        for blob in images["used"]:
            if blob not in blobs:
                yield f"arms {', '.join(images['arms'])} train on {blob}, which no synthesis made"


def _ids(reader: Reader, kind: str) -> Iterator[str]:
    for stage in reader.stages():
        if stage.split("/")[0] == kind:
            yield from (row["id"] for row in reader.rows(stage))
