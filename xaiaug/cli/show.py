"""The command `show`: the mistakes of a run, one of them, or why a synthetic image exists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer

from .options import AsJson, RunFolder
from .table_layout import print_table
from .terminal import print_json, print_line

_NESTED = ("made from",)
_LISTED = {"images": ("image", "seed", "state", "arms"), "predictions": ("arm", "seed", "predicted", "probability")}


def show(
    run_dir: RunFolder,
    image: Annotated[
        str | None, typer.Argument(help="An id, a file of the data, or a synthetic image; all mistakes by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show mistakes, or why an image exists.

    Without an image: the mistakes that the run analysed. For a mistake: its file, heatmap, slice, cause, the test of
    its cause, and the images made from it. For a synthetic image: what it was made from, and which arms train on it.
    The first four characters of an id are enough.
    """
    from ..results import open_run

    result = open_run(run_dir)
    if image is not None:
        found = result.look_up(image)
        if as_json:
            print_json(found)
        else:
            _print_details(found)
        return
    mistakes = result.list_mistakes()
    if as_json:
        print_json(mistakes)
    else:
        _print_mistakes(mistakes)


def _print_mistakes(mistakes: Sequence[Mapping[str, Any]]) -> None:
    shown = [one for one in mistakes if one["split"] != "test"]
    rows = [
        (
            one["id"][:10],
            f"{one['label']} as {one['predicted']}",
            f"{one['probability']:.2f}",
            "; ".join(str(one[name]) for name in ("file", "slice", "cause_test") if one[name]),
        )
        for one in shown
    ]
    if rows:
        print_table(("id", "class", "prob.", "file; slice; test of its cause"), rows, prose=True)
        print_line("")
    further = len(mistakes) - len(shown)
    on_test = f" (mistakes.csv also lists {further:,} of the baseline on test)" if further else ""
    print_line(f"{len(shown):,} mistakes that the run analysed{on_test}; `xaiaug show RUN ID` shows one")


def _print_details(found: Mapping[str, Any], indent: str = "") -> None:
    plain = [(name, value) for name, value in found.items() if name not in (*_LISTED, *_NESTED)]
    rows = [(indent + name, _to_text(value)) for name, value in plain if value not in (None, "", [])]
    print_table(("", ""), rows, prose=True)
    for name in _NESTED:
        if name in found:
            print_line(f"{name}:")
            _print_details(found[name], indent="  ")
    for name, columns in _LISTED.items():
        if found.get(name):
            print_line(f"{name}:")
            print_table(
                columns, count_equal([_to_text(one[column]) for column in columns] for one in found[name]), prose=True
            )


def count_equal(rows: Iterable[Sequence[str]]) -> list[list[str]]:
    """Each row once, with how often it occurs: images that failed alike differ in nothing.

    Args:
        rows: of equal length; the count is added to the first cell.
    """
    counts = Counter(map(tuple, rows))
    return [[first + (f" × {count}" if count > 1 else ""), *rest] for (first, *rest), count in counts.items()]


def _to_text(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "–"
    return "–" if value is None else str(value)
