"""Tables that stay whole on a narrow terminal: heads are folded, then columns go on below, and no number is broken."""

from __future__ import annotations

import shutil
import textwrap
import unicodedata
from collections.abc import Sequence

from ..display.terminal_text import WIDTH
from .terminal import escape_line, print_line

GAP = "  "
_LEAST = 24  # characters of a column of prose

Cells = Sequence[Sequence[str]]


def print_table(heads: Sequence[str], rows: Cells, *, prose: bool = False, error: bool = False) -> None:
    """Prints a table in the width of the terminal.

    Args:
        heads: name of each column; all empty: no heads are shown.
        rows: cells of each row.
        prose: whether the last column is text that may be wrapped; it is aligned to the left.
        error: whether to print to standard error.
    """
    width = shutil.get_terminal_size((WIDTH, 24)).columns
    for line in layout_table(heads, rows, width, prose=prose):
        print_line(line, error=error)


def layout_table(heads: Sequence[str], rows: Cells, width: int, *, prose: bool = False) -> list[str]:
    """The lines of a table, none wider than a terminal wherever its cells allow.

    The first column is aligned to the left, numbers to the right. What does not fit beside it goes on below, beside the
    first column again.

    Args:
        heads: name of each column.
        rows: cells of each row.
        width: of the terminal, in characters.
        prose: whether the last column is text that may be wrapped.
    """
    safe_heads, safe = [escape_line(head) for head in heads], [[escape_line(cell) for cell in row] for row in rows]
    if prose:
        return _layout_prose(safe_heads, safe, width)
    heads_in_words, widths = [[head] for head in safe_heads], _widths([[head] for head in safe_heads], safe)
    if sum(widths) + len(GAP) * (len(widths) - 1) > width:
        heads_in_words = [head.split(" ") for head in safe_heads]
        widths = _widths(heads_in_words, safe)
    lines: list[str] = []
    for part in _divide(widths, width):
        columns = [0, *part]
        lines += (
            ["", *_head_lines(heads_in_words, widths, columns)]
            if lines
            else _head_lines(heads_in_words, widths, columns)
        )
        lines += [_align([row[place] for place in columns], [widths[place] for place in columns]) for row in safe]
    return lines


def measure(text: str) -> int:
    """How many characters of a terminal a text takes."""
    return sum(
        0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )


def _widths(heads: Sequence[Sequence[str]], rows: Cells) -> list[int]:
    return [
        max([measure(word) for word in heads[place]] + [measure(row[place]) for row in rows])
        for place in range(len(heads))
    ]


def _divide(widths: Sequence[int], width: int) -> list[list[int]]:
    """The columns after the first, in parts that fit beside it."""
    parts: list[list[int]] = [[]]
    room = used = width - widths[0]
    for place in range(1, len(widths)):
        needed = len(GAP) + widths[place]
        if needed > used and parts[-1]:
            parts.append([])
            used = room
        parts[-1].append(place)
        used -= needed
    return parts


def _head_lines(folded: Sequence[Sequence[str]], widths: Sequence[int], columns: Sequence[int]) -> list[str]:
    heads = [_fold(folded[place], widths[place]) for place in columns]
    if not any(any(head) for head in heads):
        return []
    depth = max(map(len, heads))
    stacked = [[""] * (depth - len(head)) + list(head) for head in heads]
    shown = [widths[place] for place in columns]
    return [
        *(_align([head[line] for head in stacked], shown) for line in range(depth)),
        GAP.join("─" * number for number in shown),
    ]


def _fold(words: Sequence[str], width: int) -> list[str]:
    lines: list[str] = []
    for word in words:
        if lines and measure(lines[-1]) + 1 + measure(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _align(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = cells
    padded = [" " * (width - measure(cell)) + cell for cell, width in zip(others, widths[1:], strict=True)]
    return GAP.join([first + " " * (widths[0] - measure(first)), *padded]).rstrip()


def _layout_prose(heads: Sequence[str], rows: Cells, width: int) -> list[str]:
    shown = [heads, *rows] if any(heads) else rows
    if not shown:
        return []
    widths = [max(measure(row[place]) for row in shown) for place in range(len(heads) - 1)]
    start = sum(widths) + len(GAP) * len(widths)
    under = start if width - start >= _LEAST else len(GAP) * 2  # too little room beside: the text goes below
    lines: list[str] = []
    for row in shown:
        beside = GAP.join(cell + " " * (number - measure(cell)) for cell, number in zip(row[:-1], widths, strict=True))
        text = textwrap.wrap(row[-1], max(_LEAST, width - under), break_long_words=False, break_on_hyphens=False)
        if under == start:
            first, *text = text or [""]
            beside = f"{beside}{GAP}{first}" if widths else first
        lines += [beside.rstrip(), *(" " * under + line for line in text)]
    return lines
