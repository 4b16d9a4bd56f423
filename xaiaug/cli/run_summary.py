"""Prints what a run came to: the arms, the verdict, the cautions, and where the report is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from .table_layout import print_table
from .terminal import escape_line, print_json, print_line

if TYPE_CHECKING:
    from ..results import Result

PARTIAL = 3  # the exit code of a run that lacks answers


def show_result(result: Result, *, as_json: bool = False) -> None:
    """Prints the result of a run, and exits with 3 where a service gave no answer on some of it.

    Args:
        result: of the run.
        as_json: whether to print JSON.
    """
    unanswered = result.unanswered
    if as_json:
        print_json(_to_json(result))
    else:
        _print_text(result)
    if unanswered:
        print_line(
            f"{unanswered:,} items got no answer, perhaps temporarily: rerun the same command to ask again",
            error=True,
        )
        raise typer.Exit(PARTIAL)


def _print_text(result: Result) -> None:
    from ..report.arm_table import list_cells
    from ..report.resources import RESOURCE_HEADS, list_resources

    report = result.report
    if report.arms:
        typer.echo("")
        print_table(*list_cells(report))
        typer.echo("")
        print_table(RESOURCE_HEADS, [(row.name, *row.cells) for row in list_resources(report)])
    typer.echo(f"\n{escape_line(result.conclusion)}\n")
    for arm in report.left_out:
        print_line(f"left out: {arm.name}: {arm.reason}")
    for note in report.notes:
        print_line(f"{'!' if note.kind == 'warning' else '·'} {note.text}")
    typer.echo(f"\nreport: {escape_line(result.report_path)}")


def _to_json(result: Result) -> dict[str, Any]:
    report = result.report
    return {
        "run_dir": str(result.run_dir),
        "report": str(result.report_path),
        "until": str(report.until),
        "complete": report.complete,
        "conclusion": result.conclusion,
        "mistakes": {"found": report.mistakes.found, "chosen": report.mistakes.chosen},
        "arms": result.list_arms(),
        "left_out": [arm.model_dump(mode="json") for arm in report.left_out],
        "notes": [note.model_dump(mode="json") for note in report.notes],
        "usd": report.run.costs.usd,
        "unanswered": result.unanswered,
    }
