"""The command line: its commands, their examples and exit codes. Heavy imports wait until a command runs."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Callable
from typing import Annotated, Any

import typer

from .. import __version__
from . import compare_runs, export_run, init, plugins, report, run_folder, show, start
from .faults import DebugGroup, report_errors
from .terminal import SafeGroup, safe_streams

_SETTINGS = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    cls=DebugGroup,
    no_args_is_help=True,
    context_settings=_SETTINGS,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing rich would take longer than the rest of --help
    help="Find out why an image classifier fails, make the training images that fix it, and measure whether they did.",
    epilog="Exit codes: 0 done, 1 error or damage found, 2 wrong usage, 3 waiting for review or incomplete, "
    "4 budget spent, 130 interrupted.",
)
_plugins = typer.Typer(
    cls=SafeGroup, no_args_is_help=True, rich_markup_mode=None, help="List, check and write plugins."
)


def main() -> None:
    """Runs the command line; an error is one message, and a traceback comes with --debug alone."""
    # Else the last collection walks over every object of torch and transformers: 1.3 s between the last line and the
    # end, also after Ctrl-C. Nothing that is collected then is needed.
    atexit.register(gc.freeze)
    with safe_streams():
        report_errors(app)


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
    debug: Annotated[  # noqa: ARG001  taken by `DebugGroup`, wherever it stands
        bool, typer.Option("--debug", help="Show the traceback of an error; works anywhere.")
    ] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def _add(command: Callable[..., Any], *examples: str, name: str | None = None, to: typer.Typer = app) -> None:
    lines = "\n".join(f"  {example}" for example in examples)
    to.command(name, epilog=f"\b\nExamples:\n{lines}", context_settings=_SETTINGS)(command)


_add(init.init, "xaiaug init photos", "xaiaug init photos --checkpoint models/vit-tiny")
_add(
    start.plan,
    "xaiaug plan photos.toml",
    "xaiaug plan photos.toml --limit 20 --steps 50",
    "xaiaug plan photos.toml --probe --json",
)
_add(
    start.run,
    "xaiaug run photos.toml",
    "xaiaug run photos.toml --limit 20 --steps 50",
    "xaiaug run photos.toml --until critique",
    "xaiaug run photos.toml --set 'experiment.seeds=[0, 1, 2]'",
)
_add(
    start.diagnose,
    "xaiaug diagnose photos --checkpoint models/mine",
    "xaiaug diagnose photos --checkpoint m.onnx --labels cat,dog",
)
_add(
    show.show,
    "xaiaug show runs/first",
    "xaiaug show runs/first 3f9c0a",
    "xaiaug show runs/first guide/cat/17.jpg",
    "xaiaug show runs/first runs/first/synthetic/cat/a.png",
)
_add(report.report, "xaiaug report runs/first --open", "xaiaug report runs/first --no-paths")
_add(compare_runs.compare, "xaiaug compare runs/first runs/second", "xaiaug compare runs/first runs/second --json")
_add(
    export_run.export,
    "xaiaug export runs/first --into new-images",
    "xaiaug export runs/first --format huggingface --into hf",
    "xaiaug export runs/first --format csv --into table",
)
_add(run_folder.review, "xaiaug review runs/first --open")
_add(run_folder.status, "xaiaug status runs/first", "xaiaug status runs/first --json")
_add(run_folder.verify, "xaiaug verify runs/first")
_add(run_folder.gc, "xaiaug gc runs/first")
_add(start.demo, "xaiaug demo", "xaiaug demo --run-dir runs/drawn")
_add(
    start.exam, "xaiaug exam measured", "xaiaug exam claude --plan", "xaiaug exam claude --allow-upload --budget-usd 2"
)
_add(plugins.doctor, "xaiaug doctor", "xaiaug doctor --json")
_add(plugins.list_plugins, "xaiaug plugins list", "xaiaug plugins list critic --json", name="list", to=_plugins)
_add(
    plugins.check,
    "xaiaug plugins check explainer/attention-rollout",
    "xaiaug plugins check rise --set masks=300",
    name="check",
    to=_plugins,
)
_add(plugins.new, "xaiaug plugins new critic my-critic", name="new", to=_plugins)
app.add_typer(_plugins, name="plugins")
