"""Prints a plan."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ..plan import Line, Plan

Range = tuple[float, float] | None
WIDTH = 110  # where there is no terminal
_UNITS = ("B", "kB", "MB", "GB", "TB")


def show(plan: Plan, *, error: bool = False) -> None:
    """Prints a plan as text.

    Args:
        plan: what to print.
        error: whether to print it where errors go, beside a question.
    """
    from rich.console import Console

    console = Console(stderr=error, highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    known = "as the run folder says" if plan.mistakes_known else "not known yet"
    console.print(f"mistakes to learn from: {count(plan.mistakes)} ({known})\n", markup=False)
    console.print(_parts(plan))
    if plan.further:
        console.print(_further(plan))
    for line in (*_leaving(plan), *_money(plan)):
        console.print(line, markup=False)
    _say(console, plan)


def _say(console: Console, plan: Plan) -> None:
    for name, reason in (plan.left_out or {}).items():
        console.print(f"left out: {name}: {reason}", markup=False)
    for kind, licence in (plan.licences or {}).items():
        console.print(f"licence of the {kind}'s weights: {licence}", markup=False)
    for sentence in plan.assumptions:
        console.print(f"· {sentence}", markup=False)
    for sentence in plan.obstacles:
        console.print(f"! {sentence}", markup=False)


def _parts(plan: Plan) -> Table:
    table = _table("part")
    for line in plan.lines:
        name = f"{line.name} (images of {line.shares})" if line.shares else line.name
        table.add_row(name, *_cells(line))
    table.add_section()
    table.add_row("in sum", *_cells(plan.total))
    return table


def _further(plan: Plan) -> Table:
    table = _table("what more would add")
    for line in plan.further:
        table.add_row(line.name, *_cells(line))
    return table


def _table(first: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, overflow="fold", min_width=20)
    for name in ("calls", "tokens", "dollars", "images", "trainings", "hours", "disk"):
        table.add_column(name, justify="right", overflow="fold")
    return table


def _cells(line: Line) -> list[str]:
    tokens = (line.input_tokens[0] + line.output_tokens[0], line.input_tokens[1] + line.output_tokens[1])
    return [
        count(line.calls),
        count(tokens),
        dollars(line.usd),
        count(line.images),
        count(line.trainings),
        hours(line.hours),
        size(line.disk_bytes),
    ]


def _leaving(plan: Plan) -> list[str]:
    if not plan.receivers:
        return ["Nothing leaves this machine."]
    return [
        f"leaves this machine: {size(one.upload_bytes)} to {one.receiver}, by the {one.kind} {one.name}: {one.what}"
        for one in plan.receivers
    ]


def _money(plan: Plan) -> list[str]:
    lines = [f"price of {price['model']}: {price['source']}, {price['date']}" for price in plan.prices]
    if plan.paid_calls or plan.paid_usd:
        left = "nothing" if plan.finished else dollars(plan.usd_left)
        lines.append(f"paid already: {money(plan.paid_usd)} for {plan.paid_calls} calls; still to be paid: {left}")
    if plan.budget_usd is not None:
        lines.append(f"budget: {money(plan.budget_usd)}")
    return lines


def count(found: Range) -> str:
    """A range of whole numbers; large ones with three digits that count."""
    return _range(found, _short, "")


def dollars(found: Range) -> str:
    """A range of dollars."""
    return _range(found, money, "")


def money(usd: float) -> str:
    """Dollars: cents, or two digits that count."""
    return f"${usd:.2f}" if usd >= 0.1 or usd == 0 else f"${usd:.2g}"


def hours(found: Range) -> str:
    """A range of hours, or of minutes where they are few."""
    if found is not None and 0 < found[1] < 2:
        return _range((found[0] * 60, found[1] * 60), lambda value: f"{value:.2g}", " min")
    return _range(found, lambda value: f"{value:.2g}", " h")


def size(found: Range) -> str:
    """A range of bytes."""
    if found is None or not found[1]:
        return _range(found, str, "")
    power = min(len(_UNITS) - 1, int(math.log(max(1.0, found[1]), 1000)))
    return _range((found[0] / 1000**power, found[1] / 1000**power), lambda value: f"{value:.2g}", f" {_UNITS[power]}")


def _range(found: Range, text: Callable[[float], str], unit: str) -> str:
    if found is None:
        return "?"
    if found[1] == 0:
        return "–"
    low, high = text(found[0]), text(found[1])
    return f"{low}{unit}" if low == high else f"{low}–{high}{unit}"


def _short(value: float) -> str:
    for power, letter in ((9, "G"), (6, "M"), (3, "k")):
        if value >= 10 * 10**power or (power > 3 and value >= 10**power):
            return f"{value / 10**power:.3g}{letter}"
    return f"{value:,.0f}"
