"""Runs the checks of one plugin and shows their results in a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..errors import UnknownPluginError, suggest
from ..registry import KINDS, available, registry
from ..testing import CheckOutcome, run_checks
from .parameters import parse_parameters
from .terminal import make_console, safe_streams

_STYLES = {
    "passed": "green",
    "failed": "bold red",
    "unexpected": "bold red",
    "expected": "yellow",
    "not applicable": "dim",
}


def show_checks(name: str, settings: Sequence[str], seconds: float) -> bool:
    """Runs the checks of an installed plugin, showing each result as it comes; returns whether all passed.

    Args:
        name: NAME or KIND/NAME.
        settings: its parameters, each NAME=VALUE.
        seconds: time limit of each check.

    Raises:
        UnknownPluginError: there is no such plugin, or several kinds have one of that name.
        ConfigError: the parameters are invalid.
    """
    kind, name = _find_plugin(name)
    parameters = parse_parameters(settings)
    plugin = registry().create(kind, name, parameters)
    outcomes: list[CheckOutcome] = []
    console = make_console(width=160)
    factory = (lambda: registry().create(kind, name, parameters)) if parameters else type(plugin)
    with Live(_table(kind, name, outcomes), console=console, auto_refresh=False) as live, safe_streams():
        for outcome in run_checks(factory, seconds=seconds):
            outcomes.append(outcome)
            live.update(_table(kind, name, outcomes), refresh=console.is_terminal)
    failed = [outcome for outcome in outcomes if not outcome.ok]
    passed = sum(outcome.state == "passed" for outcome in outcomes)
    console.print(f"\n{passed} of {len(outcomes)} checks passed, {len(failed)} failed")
    return not failed


def _find_plugin(name: str) -> tuple[str, str]:
    kind, _, rest = name.rpartition("/")
    if kind:
        return kind, rest
    kinds = [info.kind for info in available() if info.name == name and info.kind in KINDS]
    if len(kinds) == 1:
        return kinds[0], name
    if kinds:
        raise UnknownPluginError(f"{name!r} is the name of several plugins: {', '.join(f'{k}/{name}' for k in kinds)}")
    broken = "".join(f" {info.origin} failed to load: {info.error}" for info in available() if info.kind == "plugin")
    raise UnknownPluginError(f"there is no plugin {name!r}. {suggest(name, {i.name for i in available()})}{broken}")


def _table(kind: str, name: str, outcomes: Sequence[CheckOutcome]) -> Table:
    table = Table("check", "result", "why", title=f"{kind}/{name}", title_justify="left")
    for outcome in outcomes:
        why = outcome.reason if outcome.state != "passed" else ""
        table.add_row(outcome.check, Text(outcome.state, _STYLES[outcome.state]), why)
    return table
