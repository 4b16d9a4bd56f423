"""Scans a CSV manifest of images: file, label, split, groups, weight."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from ..errors import DataError, suggest
from .decode import Decoder
from .entries import ListedFile, Scan, UnusableFile, to_entries
from .folder import SPLIT_FOLDERS

_GROUP = "group:"


def scan_manifest(path: str | Path, root: str | Path | None, groups: Sequence[str], decoder: Decoder) -> Scan:
    """All images listed in a CSV file.

    Args:
        path: the CSV file, UTF-8, with a header.
        root: folder the files are relative to; None: the folder of the CSV file.
        groups: further columns to use as groups, besides those named `group:NAME`.
        decoder: how the images are decoded.

    Raises:
        DataError: the file cannot be read, or a row cannot be used; it names file and line.
    """
    table = Path(path).expanduser()
    folder = Path(root).expanduser().resolve() if root is not None else table.resolve().parent
    columns, rows = _read_rows(table)
    _check_columns(table, columns, groups)
    names = {column.removeprefix(_GROUP): column for column in columns if column.startswith(_GROUP)}
    names.update({group: group for group in groups})
    files, outside = [], []
    lines: dict[str, int] = {}
    for line, row in rows:
        file = _parse_row(table, line, row, folder, names)
        if lines.setdefault(file.path, line) != line:
            raise DataError(f"{table}: {file.name} is listed twice, in lines {lines[file.path]} and {line}")
        if _is_inside(Path(file.path).parent, folder):
            files.append(file)
        else:
            outside.append(UnusableFile(file.name, "lies outside the data folder", file.split, file.label))
    entries, unusable = to_entries(files, folder, decoder)
    labels = tuple(sorted({row["label"].strip() for _, row in rows}))
    splits = tuple(sorted({file.split for file in files if file.split}))
    _check_splits(table, files)
    return Scan(labels, entries, splits, (*outside, *unusable))


def _read_rows(table: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="", restval="", strict=True)
            rows = [(reader.line_num, row) for row in reader]
            return list(reader.fieldnames or ()), rows
    except OSError as error:
        raise DataError(f"manifest {table} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"manifest {table} is not a UTF-8 CSV file: {error}") from error


def _check_columns(table: Path, columns: Sequence[str], groups: Sequence[str]) -> None:
    for name in ("file", "label", *groups):
        if name not in columns:
            raise DataError(f"manifest {table} has no column {name!r}; it has {', '.join(columns) or 'none'}")


def _parse_row(table: Path, line: int, row: Mapping[str, str], folder: Path, names: Mapping[str, str]) -> ListedFile:
    where = f"{table}, line {line}"
    if "" in row:
        raise DataError(f"{where}: more values than columns")
    file, label = row["file"].strip(), row["label"].strip()
    if not file or not label:
        raise DataError(f"{where}: {'file' if not file else 'label'} is empty")
    place = folder / file
    return ListedFile(
        path=str(place),
        name=place.relative_to(folder).as_posix() if place.is_relative_to(folder) else file,
        label=label,
        split=_parse_split(where, (row.get("split") or "").strip()),
        groups={name: row[column].strip() for name, column in names.items()},
        weight=_parse_weight(where, (row.get("weight") or "").strip()),
    )


def _parse_split(where: str, text: str) -> str | None:
    if text and text.lower() not in SPLIT_FOLDERS:
        raise DataError(f"{where}: unknown split {text!r}. {suggest(text, SPLIT_FOLDERS)}")
    return SPLIT_FOLDERS[text.lower()] if text else None


def _parse_weight(where: str, text: str) -> float:
    try:
        weight = float(text or 1)
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise DataError(f"{where}: weight must be a positive number, got {text!r}")
    return weight


def _check_splits(table: Path, files: Sequence[ListedFile]) -> None:
    missing = sum(file.split is None for file in files)
    if 0 < missing < len(files):
        raise DataError(f"{table}: {missing} of {len(files)} rows have no split; give all rows a split, or none")


@lru_cache(maxsize=4096)
def _is_inside(folder: Path, root: Path) -> bool:
    return folder.resolve().is_relative_to(root)
