"""Scans a CSV manifest of images: file, label, split, groups, weight."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from unicodedata import normalize

from ..errors import DataError, suggest
from ..tables import CsvTable, parse_table, unmask_formula
from .decode import Decoder
from .entries import ListedFile, Scan, UnusableFile, check_weight, explain_missing, is_url, to_entries
from .folder import SPLIT_FOLDERS
from .image_header import open_regular, read_all
from .label_names import normalise_label, warn_of_variants

_GROUP = "group:"
_REQUIRED, _OPTIONAL = ("file", "label"), ("split", "weight")
_INDEX = re.compile(r"column [0-9]+|Unnamed: [0-9]+|index|id", re.IGNORECASE)  # what tables add by themselves, and runs
_CONSTANT = re.compile(r'\s*="([^"]*)"\s*')  # how a number is written that a spreadsheet should leave as text
_SHOWN = 5
_MAX_BYTES = 1_000_000_000


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
    content = _parse_file(table, groups)
    names = _group_columns(content.columns, groups)
    files, outside = [], []
    lines: dict[str, int] = {}
    for line, row in content.rows:
        file = _parse_row(table, line, row, folder, names)
        path = os.path.normpath(file.path)
        if lines.setdefault(path, line) != line:
            raise DataError(f"{table}: {file.name} is listed twice, in lines {lines[path]} and {line}")
        if _is_inside(Path(file.path).parent, folder):
            files.append(file)
        else:
            outside.append(UnusableFile(file.name, "lies outside the data folder", file.split, file.label))
    _check_any_exists(table, folder, files)
    entries, unusable = to_entries(files, folder, decoder)
    labels = tuple(sorted({normalise_label(unmask_formula(row["label"])) for _, row in content.rows}))
    splits = tuple(sorted({file.split for file in files if file.split}))
    _check_splits(table, files)
    notes = (*_note_unused(table, content.columns, names), *warn_of_variants(labels))
    return Scan(labels, entries, splits, (*outside, *unusable), notes)


def _parse_file(table: Path, groups: Sequence[str]) -> CsvTable:
    try:
        with open_regular(table, _MAX_BYTES) as file:
            content = parse_table(read_all(file, _MAX_BYTES), (*_REQUIRED, *groups), _OPTIONAL)
    except OSError as error:
        raise DataError(f"manifest {table} cannot be read: {error.strerror or error}") from error
    except DataError as error:
        raise DataError(f"manifest {table} {error}") from None
    rows = ((line, {name: _unwrap(value) for name, value in row.items()}) for line, row in content.rows)
    return replace(content, rows=tuple(rows))


def _unwrap(value: str) -> str:
    constant = _CONSTANT.fullmatch(value) if "=" in value else None
    return constant[1] if constant else value


def _group_columns(columns: Sequence[str], groups: Sequence[str]) -> dict[str, str]:
    """The column of each group."""
    found = [name for name in columns if name.lower().startswith(_GROUP)]
    names = {unmask_formula(name[len(_GROUP) :]).strip(): name for name in found}
    return {**names, **{group: group for group in groups}}


def _note_unused(table: Path, columns: Sequence[str], groups: Mapping[str, str]) -> Iterator[str]:
    used = {*_REQUIRED, *_OPTIONAL, *groups.values()}
    unused = [name for name in columns if name not in used and not _INDEX.fullmatch(name)]
    if unused:
        named = ", ".join(_hint(name) for name in unused[:_SHOWN])
        more = f" and {len(unused) - _SHOWN} more" if len(unused) > _SHOWN else ""
        yield f"{table.name}: columns that are not used: {named}{more}"


def _hint(name: str) -> str:
    word = name.strip().lower()
    if word.startswith("group"):
        return f"{name[:80]!r} (a group is named by the column: group:NAME, or groups=({name[:80]!r},))"
    nearest = get_close_matches(word, (*_REQUIRED, *_OPTIONAL), n=1, cutoff=0.6)
    return f"{name[:80]!r} (did you mean {nearest[0]!r}?)" if nearest else f"{name[:80]!r}"


def _parse_row(table: Path, line: int, row: Mapping[str, str], folder: Path, names: Mapping[str, str]) -> ListedFile:
    where = f"{table}, line {line}"
    file, label = row["file"].strip(), normalise_label(unmask_formula(row["label"]))
    if not file or not label:
        raise DataError(f"{where}: {'file' if not file else 'label'} is empty")
    place = _find_file(folder, row["file"])
    return ListedFile(
        path=str(place),
        name=place.relative_to(folder).as_posix() if place.is_relative_to(folder) and not is_url(file) else file,
        label=label,
        split=_parse_split(where, (row.get("split") or "").strip()),
        groups={name: unmask_formula(row[column]).strip() for name, column in names.items()},
        weight=check_weight(where, (row.get("weight") or "").strip() or 1),
    )


def _parse_split(where: str, text: str) -> str | None:
    if text and text.lower() not in SPLIT_FOLDERS:
        raise DataError(f"{where}: unknown split {text!r}. {suggest(text, SPLIT_FOLDERS)}")
    return SPLIT_FOLDERS[text.lower()] if text else None


def _find_file(folder: Path, file: str) -> Path:
    """Where a file is: as it is written, without the apostrophe that keeps a name from being a formula, or as another
    system spells it, with accents apart or backslashes.
    """
    name = file.strip()
    slashed = name.replace("\\", "/")
    spellings = [unmask_formula(file), unmask_formula(name), name, slashed]
    spellings += [normalize(form, slashed) for form in ("NFC", "NFD")]
    return next((folder / one for one in spellings if os.path.lexists(folder / one)), folder / name)


def _check_any_exists(table: Path, folder: Path, files: Sequence[ListedFile]) -> None:
    if files and not any(os.path.lexists(file.path) for file in files):
        raise DataError(
            f"{table}: none of its {len(files)} files is there. {files[0].name[:200]!r} {explain_missing(files[0])}. "
            f"Files are relative to {folder}; root= (in a settings file: folder) names another one"
        )


def _check_splits(table: Path, files: Sequence[ListedFile]) -> None:
    missing = sum(file.split is None for file in files)
    if 0 < missing < len(files):
        raise DataError(f"{table}: {missing} of {len(files)} rows have no split; give all rows a split, or none")


@lru_cache(maxsize=4096)
def _is_inside(folder: Path, root: Path) -> bool:
    return folder.resolve().is_relative_to(root)
