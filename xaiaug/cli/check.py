"""Runs the checks of one plugin and shows their results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import UnknownPluginError, suggest
from ..registry import KINDS, available, registry
from ..testing import CheckOutcome, run_checks
from .parameters import parse_parameters
from .table_layout import print_table
from .terminal import print_json, print_line, safe_streams


def show_checks(name: str, settings: Sequence[str], seconds: float, *, as_json: bool = False) -> bool:
    """Runs the checks of an installed plugin and shows their results; returns whether all passed.

    Args:
        name: NAME or KIND/NAME.
        settings: its parameters, each NAME=VALUE.
        seconds: time limit of each check.
        as_json: whether to print JSON.

    Raises:
        UnknownPluginError: there is no such plugin, or several kinds have one of that name.
        ConfigError: the parameters are invalid.
    """
    kind, name = _find_plugin(name)
    parameters = parse_parameters(settings)
    plugin = registry().create(kind, name, parameters)
    factory = (lambda: registry().create(kind, name, parameters)) if parameters else type(plugin)
    outcomes: list[CheckOutcome] = []
    with safe_streams():  # what a plugin prints while it is checked
        for outcome in run_checks(factory, seconds=seconds):
            outcomes.append(outcome)
            print_line(f"{len(outcomes)} {outcome.check}: {outcome.state}", error=True)
    failed = [outcome for outcome in outcomes if not outcome.ok]
    if as_json:
        print_json({"plugin": f"{kind}/{name}", "checks": list(map(_to_json, outcomes)), "passed": not failed})
    else:
        _print_text(f"{kind}/{name}", outcomes, len(failed))
    return not failed


def _print_text(name: str, outcomes: Sequence[CheckOutcome], failed: int) -> None:
    print_line(name)
    rows = [(one.check, one.state, one.reason if one.state != "passed" else "") for one in outcomes]
    print_table(("check", "result", "why"), rows, prose=True)
    passed = sum(outcome.state == "passed" for outcome in outcomes)
    print_line("")
    print_line(f"{passed} of {len(outcomes)} checks passed, {failed} failed")


def _to_json(outcome: CheckOutcome) -> dict[str, Any]:
    return {"check": outcome.check, "state": outcome.state, "reason": outcome.reason}


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
