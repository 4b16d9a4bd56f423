"""The command `report`: writes the report of a run again, for whoever is to read it."""

from __future__ import annotations

import webbrowser
from typing import Annotated

import typer

from .options import AsJson, RunFolder
from .terminal import print_json, print_line

NoPaths = Annotated[bool, typer.Option("--no-paths", help="Leave out file names, for sharing the report.")]


def report(
    run_dir: RunFolder,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    no_paths: NoPaths = False,
    as_json: AsJson = False,
) -> None:
    """Write the report of a run again.

    These are report.html, report.json, mistakes.csv and arms.csv in the run folder.
    """
    from ..results import open_run

    result = open_run(run_dir)
    page = result.write_report(paths=False if no_paths else None)
    if as_json:
        print_json({"report": str(page), "conclusion": result.conclusion})
    else:
        print_line(f"report: {page}")
    if show:
        webbrowser.open(page.resolve().as_uri())
