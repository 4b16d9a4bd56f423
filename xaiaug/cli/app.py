"""The commands. Heavy imports wait until a command runs, so that --help is fast."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .. import __version__
from ..credentials import trust_hosts
from ..errors import RunStopped, WaitingForReview, XaiaugError
from .terminal import STOPPED, SafeGroup, escape_line, print_json, print_line, print_message, safe_streams

if TYPE_CHECKING:
    from ..results import Result

app = typer.Typer(
    cls=SafeGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing rich would take longer than the rest of --help
    help="Find out why an image classifier fails, make the training images that fix it, and measure whether they did.",
)
RunDir = Annotated[Path, typer.Option("--run-dir", help="The run folder; a run in it is resumed.")]
Kind = Annotated[str | None, typer.Argument(help="classifier, explainer, critic or synthesizer.")]
Until = Annotated[str | None, typer.Option("--until", help="Stop after mistakes, explain, critique, images or report.")]

Config = Annotated[Path, typer.Argument(help="A settings file in TOML.")]
Budget = Annotated[float | None, typer.Option("--budget-usd", help="The most the run may spend, in dollars.")]
Upload = Annotated[
    bool | None,
    typer.Option("--allow-upload/--no-upload", help="Whether images may be uploaded; overrides a settings file."),
]
Offline = Annotated[
    bool | None,
    typer.Option("--offline/--online", help="Whether outside services are blocked; overrides a settings file."),
]
TrustHost = Annotated[
    list[str] | None,
    typer.Option("--trust-host", help="A host that may get images and a key, besides those of known providers."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Spend up to the budget without asking.")]


def main() -> None:
    """Runs the command line; an expected error is one message without a traceback."""
    with safe_streams():
        _run_command()


def _run_command() -> None:
    try:
        app()
    except WaitingForReview as waiting:
        print_message(waiting)  # the settings ask for a review: not an error
        sys.exit(3)
    except RunStopped as stopped:
        print_message(stopped, error=True)
        sys.exit(130)
    except XaiaugError as error:
        print_message(f"error: {error}", error=True)
        sys.exit(1)
    except KeyboardInterrupt:
        print_message(STOPPED, error=True)
        sys.exit(130)
    except Exception:  # noqa: BLE001  a fault of ours, shown as Python does, but while the streams are safe
        sys.excepthook(*sys.exc_info())
        sys.exit(1)


@app.command()
def run(  # noqa: PLR0917  the options of the command
    config: Config,
    run_dir: RunDir = Path("runs/first"),
    until: Until = None,
    budget_usd: Budget = None,
    allow_upload: Upload = None,
    offline: Offline = None,
    trust_host: TrustHost = None,
    yes: Yes = False,
) -> None:
    """Run a settings file or resume its run. On a terminal, it asks before spending money."""
    from ..loop import FeedbackLoop
    from .confirm import confirm_spending, show_address_notes
    from .progress_display import show_progress

    trust_hosts(trust_host or ())
    loop = FeedbackLoop.from_config(config, budget_usd=budget_usd, allow_upload=allow_upload, offline=offline)
    show_address_notes(loop)
    if not yes:
        confirm_spending(loop, lambda: loop.plan(run_dir=run_dir, until=until))
    with show_progress() as watch:
        result = loop.run(run_dir=run_dir, until=until, watch=watch)
    _show(result)


@app.command()
def plan(  # noqa: PLR0913, PLR0917  the options of the command
    config: Config,
    run_dir: RunDir = Path("runs/first"),
    until: Until = None,
    budget_usd: Budget = None,
    allow_upload: Upload = None,
    offline: Offline = None,
    trust_host: TrustHost = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Time a few images on this machine; loads the weights, sends nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Estimate what a run will take. Shows calls, dollars, images, hours and bytes, arm by arm; spends nothing."""
    from ..loop import FeedbackLoop
    from .confirm import show_address_notes
    from .plan import print_plan

    trust_hosts(trust_host or ())
    loop = FeedbackLoop.from_config(
        config, budget_usd=budget_usd, allow_upload=allow_upload, offline=offline, planning=True
    )
    show_address_notes(loop)
    run_plan = loop.plan(run_dir=run_dir, until=until, probe=probe)
    if as_json:
        print_json(run_plan.to_json())
    else:
        print_plan(run_plan)


@app.command()
def diagnose(  # noqa: PLR0913, PLR0917  the options of the command
    data: Annotated[Path, typer.Argument(help="Images: class/image, or split/class/image with a guide split.")],
    checkpoint: Annotated[Path, typer.Option("--checkpoint", help="Folder of a trained classifier, or an ONNX file.")],
    run_dir: RunDir = Path("runs/diagnose"),
    explainer: Annotated[str, typer.Option("--explainer", help="Name of an explainer.")] = "auto",
    critic: Annotated[str, typer.Option("--critic", help="Name of a critic.")] = "measured",
    most: Annotated[int | None, typer.Option("--max", help="The most mistakes to diagnose; all by default.")] = None,
    labels: Annotated[
        str | None, typer.Option("--labels", help="Classes of an ONNX file: cat,dog or a file with one a line.")
    ] = None,
    parameters: Annotated[
        list[str] | None, typer.Option("--set", help="A parameter of the classifier: NAME=VALUE, as in TOML.")
    ] = None,
    test_causes: Annotated[bool, typer.Option("--test-causes", help="Test the stated causes by experiment.")] = False,
    slices: Annotated[bool, typer.Option("--slices", help="Look for groups of mistakes.")] = False,
    budget_usd: Budget = None,
    allow_upload: Upload = None,
    offline: Offline = None,
    trust_host: TrustHost = None,
    yes: Yes = False,
) -> None:
    """Diagnose the mistakes of a trained classifier. Shows where it looked and why; no training, no test set."""
    from ..loop.diagnose import LAST_STEP, diagnosis_settings, prepare_diagnosis
    from .confirm import confirm_spending, show_address_notes
    from .parameters import parse_parameters, read_labels
    from .progress_display import show_progress

    trust_hosts(trust_host or ())
    settings = diagnosis_settings(
        most,
        budget_usd,
        allow_upload=bool(allow_upload),
        offline=bool(offline),
        test_causes=test_causes,
        slices=slices,
    )
    loop, splits = prepare_diagnosis(
        checkpoint,
        data,
        explainer,
        critic,
        labels=read_labels(labels),
        parameters=parse_parameters(parameters or []),
        settings=settings,
    )
    show_address_notes(loop)
    if not yes:
        confirm_spending(loop, lambda: loop.plan(splits, run_dir, LAST_STEP))
    with show_progress() as watch:
        result = loop.run(splits, run_dir, LAST_STEP, watch=watch)
    _show(result)


@app.command()
def exam(  # noqa: PLR0913, PLR0917  the options of the command
    critic: Annotated[str, typer.Argument(help="Name of a critic, as `xaiaug plugins critic` lists them.")],
    run_dir: RunDir = Path("runs/exam"),
    cases: Annotated[int, typer.Option("--cases", help="Mistakes with each kind of map.")] = 60,
    seed: Annotated[int, typer.Option("--seed", help="Of the images.")] = 0,
    parameters: Annotated[list[str] | None, typer.Option("--set", help="A parameter: NAME=VALUE, as in TOML.")] = None,
    plan_only: Annotated[bool, typer.Option("--plan", help="Show calls and dollars, and ask nothing.")] = False,
    budget_usd: Budget = None,
    allow_upload: Upload = None,
    offline: Offline = None,
    trust_host: TrustHost = None,
) -> None:
    """Examine a critic on planted causes: does it name them, and does it read the map?"""
    from ..loop.critic_exam import CriticExam
    from .exam_display import print_exam, print_exam_plan
    from .parameters import parse_parameters
    from .progress_display import show_progress

    trust_hosts(trust_host or ())
    examination = CriticExam(
        critic,
        run_dir,
        parameters=parse_parameters(parameters or []),
        cases=cases,
        seed=seed,
        budget_usd=budget_usd,
        allow_upload=bool(allow_upload),
        offline=bool(offline),
    )
    if plan_only:
        print_exam_plan(examination)
        return
    with show_progress() as watch:
        found = examination.run(watch)
    print_exam(found, run_dir)


@app.command()
def demo(run_dir: RunDir = Path("runs/demo")) -> None:
    """Run the entire loop on drawn cats and dogs. Needs no key, GPU or download."""
    from ..demo import demo as run_demo
    from .progress_display import show_progress

    with show_progress() as watch:
        result = run_demo(run_dir, watch=watch)
    _show(result)


@app.command()
def review(
    run_dir: Annotated[Path, typer.Argument(help="A run folder with new images to review.")],
    port: Annotated[int, typer.Option("--port", help="Port on this machine; 0 picks a free one.")] = 0,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Review the new images of a run. Keep or reject them, edit the prompt, flag the label."""
    from ..review import ReviewServer

    server = ReviewServer(run_dir, port)
    typer.echo(f"review: {server.url}\nEvery decision is saved at once; press Ctrl-C to stop.")
    if show:
        server.open_browser()
    server.serve()


@app.command()
def status(run_dir: Annotated[Path, typer.Argument(help="A run folder.")]) -> None:
    """Show the progress of a run."""
    from ..results.maintenance import status as read_status

    state = read_status(run_dir)
    step = f", {state['stage']} {state['done']}/{state['total']}" if "stage" in state else ""
    note = f", {state['note']}" if "note" in state else ""
    print_line(f"{state['state']} at {state['at']}{step}{note}")
    for name, count in state.get("stages", {}).items():
        print_line(f"  {name:<40} {count['finished']}/{count['chunks']} chunks of {count['items']} items")
    costs = state.get("costs", {})
    if costs.get("calls") or costs.get("unanswered"):
        unsure = f"{costs['unanswered']} unanswered and {costs['unreported']} whose usage was not reported"
        unknown = f", up to ${costs['unknown_usd']:.4f} more for {unsure}" if costs["unknown_usd"] else ""
        typer.echo(f"  paid ${costs['usd']:.4f} for {costs['calls']} calls{unknown}")
    for one in costs.get("overruns", ()):
        typer.echo(
            f"  {one['model']}: billed up to {one['ratio']:.3g} times the worst case of a call, "
            f"${one['usd']:.4f} above it in all"
        )


@app.command()
def verify(run_dir: Annotated[Path, typer.Argument(help="A run folder.")]) -> None:
    """Check a run folder for damage. Checks files, ancestry and ledger; exits with 1 if anything is wrong."""
    from ..results.maintenance import verify as find_problems

    problems = find_problems(run_dir)
    for line in problems or ["OK: no problems found"]:
        print_line(line)
    if problems:
        raise typer.Exit(1)


@app.command()
def gc(run_dir: Annotated[Path, typer.Argument(help="A run folder.")]) -> None:
    """Delete files in a run folder that only earlier settings used."""
    from ..results.maintenance import collect_garbage

    typer.echo(f"{collect_garbage(run_dir)} bytes freed")


@app.command()
def plugins(kind: Kind = None) -> None:
    """List the available plugins, and why some cannot be used."""
    from ..doctor import find_installed_extras
    from ..registry import available

    extras = find_installed_extras()
    for info in available(kind):
        needs = f"  needs xaiaug[{info.extra}]" if info.extra and info.extra not in extras else ""
        broken = f"  cannot be used: {info.error}" if info.error else ""
        print_line(f"{info.kind:<12} {info.name:<22} {info.origin}{needs}{broken}")


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Report problems of this installation. Says how to fix them; exits with 1 if anything is wrong."""
    from dataclasses import asdict

    from ..doctor import examine

    findings = examine()
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            print_line(f"{finding.state:<8} {finding.topic:<10} {finding.text}")
            if finding.todo:
                print_line(f"{'':<19} {finding.todo}")
    if any(finding.state == "wrong" for finding in findings):
        raise typer.Exit(1)


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="A plugin listed by `xaiaug plugins`: NAME or KIND/NAME.")],
    parameters: Annotated[list[str] | None, typer.Option("--set", help="A parameter: NAME=VALUE, as in TOML.")] = None,
    seconds: Annotated[float, typer.Option("--seconds", help="Time limit of each check.")] = 120.0,
) -> None:
    """Check that a plugin follows the rules of its kind. Exits with 1 if it does not."""
    from .check import show_checks

    if not show_checks(name, parameters or [], seconds):
        raise typer.Exit(1)


@app.command()
def new_plugin(
    kind: Annotated[str, typer.Argument(help="classifier, explainer, critic or synthesizer.")],
    name: Annotated[str, typer.Argument(help="Its name, such as my-explainer.")],
    into: Annotated[Path, typer.Option("--into", help="The folder to create the package folder in.")] = Path(),
) -> None:
    """Write a package with a working plugin to start from."""
    from ..testing import new_plugin as write

    folder = write(kind, name, into)
    typer.echo(f"wrote {folder}; to try it:\n  pip install -e {folder}\n  xaiaug check {kind}/{name}")


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def _show(result: Result) -> None:
    report = result.report
    if report.arms:
        typer.echo(f"\n{result.table().rstrip()}")
        typer.echo(f"\n{result.resources().rstrip()}")
    typer.echo(f"\n{escape_line(result.conclusion)}\n")
    for arm in report.left_out:
        print_line(f"left out: {arm.name}: {arm.reason}")
    for note in report.notes:
        print_line(f"{'!' if note.kind == 'warning' else '·'} {note.text}")
    typer.echo(f"\nreport: {escape_line(result.report_path)}")
