"""The commands that look after a run folder: status, verify, gc and review."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .options import AsJson, RunFolder
from .table_layout import print_table
from .terminal import print_json, print_line


def status(run_dir: RunFolder, as_json: AsJson = False) -> None:
    """Show the progress of a run, and what was paid."""
    from ..results.maintenance import status as read_status

    state = read_status(run_dir)
    if as_json:
        print_json(state)
        return
    step = f", {state['stage']} {state['done']}/{state['total']}" if "stage" in state else ""
    note = f", {state['note']}" if "note" in state else ""
    print_line(f"{state['state']} at {state['at']}{step}{note}")
    for line in state.get("workers", ()):
        print_line(f"  {line}")
    stages = state.get("stages", {}).items()
    rows = [(name, f"{one['finished']}/{one['chunks']}", f"{one['items']:,}") for name, one in stages]
    if rows:
        print_table(("stage", "chunks", "items"), rows)
    _print_costs(state.get("costs", {}))


def _print_costs(costs: dict[str, Any]) -> None:
    if costs.get("calls") or costs.get("unanswered"):
        unsure = f"{costs['unanswered']} unanswered and {costs['unreported']} whose usage was not reported"
        unknown = f", up to ${costs['unknown_usd']:.4f} more for {unsure}" if costs["unknown_usd"] else ""
        print_line(f"paid ${costs['usd']:.4f} for {costs['calls']} calls{unknown}")
    for one in costs.get("overruns", ()):
        print_line(
            f"{one['model']}: billed up to {one['ratio']:.3g} times the worst case of a call, "
            f"${one['usd']:.4f} above it in total"
        )


def verify(run_dir: RunFolder, as_json: AsJson = False) -> None:
    """Check a run folder for damage. Checks files, ancestry and ledger; exits with 1 if anything is wrong."""
    from ..results.maintenance import verify as find_problems

    problems = find_problems(run_dir)
    if as_json:
        print_json({"problems": problems})
    else:
        for line in problems or ["OK: no problems found"]:
            print_line(line)
    if problems:
        raise typer.Exit(1)


def gc(run_dir: RunFolder, as_json: AsJson = False) -> None:
    """Delete files in a run folder that only earlier settings used."""
    from ..results.maintenance import collect_garbage

    freed = collect_garbage(run_dir)
    if as_json:
        print_json({"bytes_freed": freed})
    else:
        print_line(f"{freed:,} bytes freed")


def review(
    run_dir: RunFolder,
    port: Annotated[int, typer.Option("--port", help="Port on this machine; 0 picks a free one.")] = 0,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Review the new images of a run. Keep or reject them, edit the prompt, flag the label."""
    from ..review import ReviewServer

    server = ReviewServer(run_dir, port)
    print_line(f"review: {server.url}")
    print_line("Every decision is saved at once; press Ctrl-C to stop.", error=True)
    if show:
        server.open_browser()
    server.serve()
