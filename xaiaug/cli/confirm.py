"""Asks for confirmation before money is spent."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from ..errors import ConfigError

if TYPE_CHECKING:
    from ..loop import FeedbackLoop
    from ..plan import Plan


def show_address_notes(loop: FeedbackLoop) -> None:
    """Shows on stderr which plugins send to an address that the environment sets."""
    for plugin in loop.plugins.by_kind.values():
        if note := getattr(plugin, "address_note", ""):
            typer.echo(f"note: {note}", err=True)


def confirm_spending(loop: FeedbackLoop, make_plan: Callable[[], Plan]) -> None:
    """Shows the plan of a run that costs money and asks for confirmation; does nothing without a terminal.

    A run without a budget gets the upper end of its plan as budget. Without a terminal, such a run raises an error.

    Args:
        loop: the loop to run.
        make_plan: plans the run; called only where it is shown.

    Raises:
        ConfigError: the cost of the run is unknown, and there is no budget.
        Abort: the user declines.
    """
    interactive = sys.stdin.isatty() and sys.stderr.isatty()
    if not interactive or not any(plugin.remote for plugin in loop.plugins.by_kind.values()):
        return
    from .plan import format_usd, print_plan

    plan = make_plan()
    left = plan.usd_left
    if left == (0, 0):
        return
    print_plan(plan, error=True)
    if plan.budget_usd is None and left is None:
        raise ConfigError("the cost of this run is unknown: set a limit with --budget-usd")
    most = plan.budget_usd
    if most is None and left is not None:
        most = math.ceil(100 * (plan.paid_usd + left[1])) / 100
    typer.confirm(f"Continue, and spend up to {format_usd(most or 0)}?", abort=True, err=True)
    loop.allow(most or 0)
