"""Which file of the data each image of a run is, by the id that the ledger knows it by; from splits.csv."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import DataError, RunFolderError
from ..files import MAX_TEXT, Directory
from ..tables import parse_edited_csv
from .reader import Reader
from .text_files import SPLITS_TABLE, find_damaged_text

_REQUIRED = ("label", "split", "id")


@dataclass(frozen=True)
class SourceFile:
    """An image of the data.

    Attributes:
        name: its file relative to the data folder, or its row of a dataset.
        label: name of its class.
        split: the split it is in; one that is guide and validation is in "validation".
    """

    name: str
    label: str
    split: str


def read_source_files(reader: Reader) -> dict[str, SourceFile]:
    """The images of a run by id; none where the run has no splits.csv, as one that was made by an earlier version.

    Raises:
        RunFolderError: splits.csv was changed, so that its ids may be those of other files.
    """
    files = Directory(reader.folder)
    if files.kind(SPLITS_TABLE) is None:
        return {}
    if damage := find_damaged_text(reader.ledger, reader.folder, SPLITS_TABLE):
        raise RunFolderError(
            f"{reader.folder / SPLITS_TABLE} {damage}: the files of the images are unknown. Rerun the command to write "
            "it again, or remove it to continue without file names"
        )
    try:
        rows = parse_edited_csv(files.read(SPLITS_TABLE, MAX_TEXT), _REQUIRED)
    except DataError as error:
        raise RunFolderError(f"{reader.folder / SPLITS_TABLE} {error}") from None
    return {
        row["id"]: SourceFile(row.get("file") or row.get("image", ""), row["label"], row["split"])
        for row in reversed(rows)  # of an id that stands in reserve too, the first line counts
    }
