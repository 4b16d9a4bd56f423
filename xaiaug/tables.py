"""CSV tables that people edit in spreadsheets: written without formulas, read whatever the spreadsheet made of them."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

from .errors import DataError

# What spreadsheets write: commas, semicolons where the comma is a decimal sign, tabs as "Unicode text".
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_SEPARATOR_LINE = "sep="  # Excel's own first line
_SHOWN = 12
_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# A spreadsheet takes what begins with a sign, in any width, for a formula; an apostrophe before it makes it text.
# Pieces of a text get one too, since a spreadsheet that expects another delimiter cuts it there. Where
# apostrophes stand there already, they get one more, so that taking one away always gives the text back.
_SIGNS = r"[=+\-@\uFF1D\uFF0B\uFF0D\uFF20\uFE66\uFE62\uFE63\uFE6B\u2212]"
_BLANK = r"(?![\t\r\n])[\s\"\x01-\x1F\xAD\u200B-\u200F\u202A-\u202E\u2060-\u2064\uFEFF]"
_FORMULA = rf"(?:(?:^|(?<=[;\t\r\n]))(?='*(?:{_BLANK})*{_SIGNS})|^(?='*[\t\r\n]))"
_START = re.compile(_FORMULA)
_MARK = re.compile(_FORMULA.replace("(?='*", "'(?='*"))
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_QUOTED = re.compile(r"[,;|\t\r\n\"]|^\s|\s$")  # by any delimiter that a spreadsheet may take


@dataclass(frozen=True)
class CsvTable:
    """A table as text.

    Attributes:
        columns: names of the columns, as expected where they differ in case or blanks only.
        rows: line number and values by column of each row; rows without any value are left out.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[int, Mapping[str, str]], ...]


def format_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None) -> str:
    """The rows as CSV, one line each under their columns; `parse_edited_csv` gives the same texts back.

    Texts that a spreadsheet would take for a formula get an apostrophe in front; numbers stay numbers.

    Args:
        rows: None is an empty cell.
        columns: in order; None: those of the first row, of which there must then be one.

    Raises:
        DataError: a text has zero bytes or lone surrogates, which no table can hold.
    """
    if columns is None:
        rows = list(rows)
        columns = list(rows[0])
    text = io.StringIO()  # which takes less memory than the lines of a large table
    for line in chain([columns], ([row[column] for column in columns] for row in rows)):
        text.write(",".join(map(_format_cell, line)) + "\n")
    return text.getvalue()


def parse_edited_csv(content: bytes, required: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a table by `format_csv`, which a person may have changed and a spreadsheet saved.

    Raises:
        DataError: as `parse_table`.
    """
    table = parse_table(content, required)
    return [{name: unmask_formula(value) for name, value in row.items()} for _, row in table.rows]


def mask_formula(text: str) -> str:
    """The text with an apostrophe where a spreadsheet would take it, or a piece of it, for a formula."""
    return _START.sub("'", text)


def unmask_formula(text: str) -> str:
    """The text without the apostrophes of `mask_formula`; others stay."""
    return _MARK.sub("", text)


def _format_cell(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return str(value)
    if _NO_TEXT.search(value):
        raise DataError(f"a table cannot hold {value[:80]!r}: it has zero bytes, or characters that are not text")
    text = mask_formula(value)
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text


def parse_table(content: bytes, required: Sequence[str], optional: Sequence[str] = ()) -> CsvTable:
    """The table in the bytes of a CSV file.

    Args:
        content: UTF-8, or UTF-16 or UTF-32 with a byte order mark; separated by commas, semicolons, tabs or bars.
        required: columns that must be there.
        optional: further columns that may be there under these names; others are kept as they are.

    Raises:
        DataError: it is not such a table, lacks a column or has one twice, or a row has more values than columns.
    """
    text = _decode(content)
    header, delimiter = _find_header(text, required)
    columns = _match_columns(header, (*required, *optional))
    missing = [name for name in required if name not in columns]
    if missing:
        named = ", ".join(repr(name) for name in missing)
        found = ", ".join(columns[:_SHOWN]) or "none"
        raise DataError(f"has no column {named}; it has {found[:300]}, separated by {_DELIMITERS[delimiter]}")
    rows = tuple((line, _to_row(line, values, columns)) for line, values in list(_read_rows(text, delimiter))[1:])
    return CsvTable(columns, rows)


def _decode(content: bytes) -> str:
    encoding = next((name for bom, name in _BOMS.items() if content.startswith(bom)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"is not a UTF-8 CSV file (byte {error.start}); save it as 'CSV UTF-8'") from None
    if "\0" in text:
        raise DataError("is not a UTF-8 CSV file, since it has zero bytes; save it as 'CSV UTF-8'")
    return text


def _find_header(text: str, required: Sequence[str]) -> tuple[list[str], str]:
    """The header, and the delimiter that makes the most of the required columns appear in it."""
    first = text.split("\n", 1)[0].strip().strip('"').lower()
    if first.startswith(_SEPARATOR_LINE) and first.removeprefix(_SEPARATOR_LINE) in (*_DELIMITERS, ""):
        delimiters = [first.removeprefix(_SEPARATOR_LINE) or "\t"]
    else:
        delimiters = list(_DELIMITERS)
    headers = {delimiter: next(_read_rows(text, delimiter), (1, []))[1] for delimiter in delimiters}
    wanted = {_fold(name) for name in required}
    best = max(headers, key=lambda one: (len(wanted & {_fold(name) for name in headers[one]}), len(headers[one])))
    return headers[best], best


def _read_rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The line and values of each row that has any, the header first."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for values in reader:
            separator = reader.line_num == 1 and delimiter.join(values).lower().startswith(_SEPARATOR_LINE)
            if not separator and any(value.strip() for value in values):
                yield reader.line_num, values
    except csv.Error as error:
        raise DataError(f"is not a UTF-8 CSV file: {error} in line {reader.line_num}") from None


def _match_columns(header: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    names = {_fold(name): name for name in known}
    columns = tuple(names.get(_fold(name), name.strip()) for name in header)
    twice = {name for name in columns if name and columns.count(name) > 1}
    if twice:
        raise DataError(f"has the column {min(twice)!r} twice; remove one")
    # Columns without a name would hide one another, so each gets its number.
    return tuple(name or f"column {number}" for number, name in enumerate(columns, 1))


def _to_row(line: int, values: Sequence[str], columns: Sequence[str]) -> dict[str, str]:
    if any(value.strip() for value in values[len(columns) :]):
        raise DataError(f"line {line}: more values than columns ({len(values)}, not {len(columns)}); quote them")
    return dict(zip_longest(columns, values[: len(columns)], fillvalue=""))


def _fold(name: str) -> str:
    return name.strip().casefold()
