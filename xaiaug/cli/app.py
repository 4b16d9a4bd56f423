"""The commands. Heavy imports wait until a command runs, so that --help answers at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .. import __version__
from ..errors import RunStopped, WaitingForReview, XaiaugError

if TYPE_CHECKING:
    from ..results import Result

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing rich would take longer than all the rest of --help
    help="Find out why an image classifier fails, make the training images that mend it, and prove whether they did.",
)
RunDir = Annotated[Path, typer.Option("--run-dir", help="The run folder; a run in it goes on.")]
Kind = Annotated[str | None, typer.Argument(help="classifier, explainer, critic or synthesizer.")]
Until = Annotated[
    str | None, typer.Option("--until", help="Stop after: mistakes, explain, critique, images or report.")
]

Config = Annotated[Path, typer.Argument(help="A settings file in TOML.")]
Budget = Annotated[float | None, typer.Option("--budget-usd", help="Most the run may spend.")]
Upload = Annotated[
    bool | None,
    typer.Option("--allow-upload/--no-upload", help="Whether images may leave the machine; else as the file says."),
]
Offline = Annotated[
    bool | None, typer.Option("--offline/--online", help="Whether outside services are refused; else as the file says.")
]


def main() -> None:
    """Runs the command line; an expected error is one message without a traceback."""
    try:
        app()
    except WaitingForReview as waiting:
        print(waiting)  # noqa: T201  it is what the settings asked for, and no error
        sys.exit(3)
    except RunStopped as stopped:
        print(stopped, file=sys.stderr)  # noqa: T201  the command line speaks
        sys.exit(130)
    except XaiaugError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped; what is finished is kept: the same command goes on", file=sys.stderr)  # noqa: T201
        sys.exit(130)


@app.command()
def run(  # noqa: PLR0917  the options of the command
    config: Config,
    run_dir: RunDir = Path("runs/first"),
    until: Until = None,
    budget_usd: Budget = None,
    allow_upload: Upload = None,
    offline: Offline = None,
    yes: Annotated[bool, typer.Option("--yes", help="Spend without asking, up to the budget.")] = False,
) -> None:
    """Run a settings file, or go on with its run; on a terminal it asks before it spends money."""
    from ..loop import FeedbackLoop
    from .confirm import confirm_spending
    from .progress_display import show_progress

    loop = FeedbackLoop.from_config(config, budget_usd=budget_usd, allow_upload=allow_upload, offline=offline)
    if not yes:
        confirm_spending(loop, run_dir, until)
    with show_progress() as watch:
        result = loop.run(run_dir=run_dir, until=until, watch=watch)
    _show(result)


@app.command()
def plan(  # noqa: PLR0917  the options of the command
    config: Config,
    run_dir: RunDir = Path("runs/first"),
    until: Until = None,
    budget_usd: Budget = None,
    allow_upload: Upload = None,
    offline: Offline = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Measure this machine on a few images; loads the weights, sends nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say what a run will take, arm by arm, before anything is spent: calls, dollars, images, hours, bytes."""
    from ..loop import FeedbackLoop
    from .plan import print_plan

    loop = FeedbackLoop.from_config(
        config, budget_usd=budget_usd, allow_upload=allow_upload, offline=offline, planning=True
    )
    drawn_up = loop.plan(run_dir=run_dir, until=until, probe=probe)
    if as_json:
        import json

        typer.echo(json.dumps(drawn_up.to_json(), indent=2))
    else:
        print_plan(drawn_up)


@app.command()
def diagnose(
    data: Annotated[Path, typer.Argument(help="Images: class/image, or split/class/image with a guide split.")],
    checkpoint: Annotated[Path, typer.Option("--checkpoint", help="Folder of a trained classifier.")],
    run_dir: RunDir = Path("runs/diagnose"),
    explainer: Annotated[str, typer.Option("--explainer", help="Name of an explainer.")] = "auto",
    critic: Annotated[str, typer.Option("--critic", help="Name of a critic.")] = "measured",
    most: Annotated[int | None, typer.Option("--max", help="Mistakes to look into; all of them by default.")] = None,
) -> None:
    """Show what a trained classifier gets wrong, where it looked, and why: no training, no test set."""
    from ..loop.diagnose import diagnose as run_diagnosis
    from .progress_display import show_progress

    with show_progress() as watch:
        result = run_diagnosis(checkpoint, data, run_dir, explainer=explainer, critic=critic, most=most, watch=watch)
    _show(result)


@app.command()
def demo(run_dir: RunDir = Path("runs/demo")) -> None:
    """Run the whole loop on drawn cats and dogs: no key, no GPU, no download."""
    from ..demo import demo as run_demo
    from .progress_display import show_progress

    with show_progress() as watch:
        result = run_demo(run_dir, watch=watch)
    _show(result)


@app.command()
def review(
    run_dir: Annotated[Path, typer.Argument(help="A run folder whose new images wait for review.")],
    port: Annotated[int, typer.Option("--port", help="Port on this machine; 0 takes a free one.")] = 0,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Look at the new images of a run: keep, reject, edit the prompt, flag the label."""
    from ..review import ReviewServer

    server = ReviewServer(run_dir, port)
    typer.echo(f"review: {server.url}\nEverything is saved as you go; Ctrl-C ends this.")
    if show:
        import webbrowser

        webbrowser.open(server.url)
    server.serve()


@app.command()
def status(run_dir: Annotated[Path, typer.Argument(help="A run folder.")]) -> None:
    """Say how far a run is."""
    from ..results.maintenance import status as read_status

    told = read_status(run_dir)
    step = f", {told['stage']} {told['done']}/{told['total']}" if "stage" in told else ""
    note = f", {told['note']}" if "note" in told else ""
    typer.echo(f"{told['state']} at {told['at']}{step}{note}")
    for name, count in told.get("stages", {}).items():
        typer.echo(f"  {name:<40} {count['finished']}/{count['chunks']} chunks of {count['items']} items")
    costs = told.get("costs", {})
    if costs.get("calls") or costs.get("unanswered"):
        unknown = f", up to ${costs['unknown_usd']:.4f} more for {costs['unanswered']} without a reply"
        typer.echo(f"  paid ${costs['usd']:.4f} for {costs['calls']} calls{unknown if costs['unanswered'] else ''}")


@app.command()
def verify(run_dir: Annotated[Path, typer.Argument(help="A run folder.")]) -> None:
    """Check digests, ancestry and ledger of a run; exit with 1 when something is wrong."""
    from ..results.maintenance import verify as find_problems

    problems = find_problems(run_dir)
    for line in problems or ["whole"]:
        typer.echo(line)
    if problems:
        raise typer.Exit(1)


@app.command()
def gc(run_dir: Annotated[Path, typer.Argument(help="A run folder.")]) -> None:
    """Remove what earlier settings left in a run folder."""
    from ..results.maintenance import collect_garbage

    typer.echo(f"{collect_garbage(run_dir)} bytes set free")


@app.command()
def plugins(kind: Kind = None) -> None:
    """List the plugins that can be asked for by name, and those that cannot be used, with the reason."""
    from ..doctor import installed_extras
    from ..registry import available

    there = installed_extras()
    for info in available(kind):
        needs = f"  needs xaiaug[{info.extra}]" if info.extra and info.extra not in there else ""
        wrong = f"  cannot be used: {info.error}" if info.error else ""
        typer.echo(f"{info.kind:<12} {info.name:<22} {info.origin}{needs}{wrong}")


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Say what is wrong with this installation, and how to mend it; exit with 1 when something is."""
    from dataclasses import asdict

    from ..doctor import examine

    found = examine()
    if as_json:
        import json

        typer.echo(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        for finding in found:
            typer.echo(f"{finding.state:<8} {finding.topic:<10} {finding.text}")
            if finding.todo:
                typer.echo(f"{'':<19} {finding.todo}")
    if any(finding.state == "wrong" for finding in found):
        raise typer.Exit(1)


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="A plugin, as `xaiaug plugins` lists it: NAME or KIND/NAME.")],
    parameters: Annotated[list[str] | None, typer.Option("--set", help="A parameter: NAME=VALUE, as in TOML.")] = None,
    seconds: Annotated[float, typer.Option("--seconds", help="Most that one check may take.")] = 120.0,
) -> None:
    """Check that a plugin keeps the rules; exit with 1 when it does not."""
    from .check import show_checks

    if not show_checks(name, parameters or [], seconds):
        raise typer.Exit(1)


@app.command()
def new_plugin(
    kind: Annotated[str, typer.Argument(help="classifier, explainer, critic or synthesizer.")],
    name: Annotated[str, typer.Argument(help="What it will be asked for by, such as my-explainer.")],
    into: Annotated[Path, typer.Option("--into", help="The folder its own is made in.")] = Path(),
) -> None:
    """Write the package of a plugin that works as it is."""
    from ..testing import new_plugin as write

    folder = write(kind, name, into)
    typer.echo(f"wrote {folder}; try it:\n  pip install -e {folder}\n  xaiaug check {kind}/{name}")


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def _show(result: Result) -> None:
    report = result.report
    if report.arms:
        typer.echo(f"\n{result.table().rstrip()}")
    typer.echo(f"\n{result.conclusion}\n")
    for arm in report.left_out:
        typer.echo(f"left out: {arm.name}: {arm.reason}")
    for note in report.notes:
        typer.echo(f"{'!' if note.kind == 'warning' else '·'} {note.text}")
    typer.echo(f"\nreport: {result.report_path}")
