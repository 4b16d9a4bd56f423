"""Prints a plan."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ..plan import Line, Plan

Range = tuple[float, float] | None
WIDTH = 110  # where there is no terminal
UNKNOWN, NOTHING = "?", "–"
_TIMES = ((3600, "s"), (60, "min"), (1, "h"))
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
    for line in (*_sharing(plan), *_leaving(plan), *_money(plan)):
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
    columns = _columns(plan)
    table = _table("part", columns)
    for line in plan.lines:
        table.add_row(line.name, *_cells(line, columns))
    table.add_section()
    table.add_row("in sum", *_cells(plan.total, columns))
    return table


def _further(plan: Plan) -> Table:
    columns = _columns(plan)
    table = _table("what more would add", columns)
    for line in plan.further:
        table.add_row(line.name, *_cells(line, columns))
    return table


def _columns(plan: Plan) -> list[str]:
    """Names of the columns that say something."""
    cells = [_texts(line) for line in (plan.total, *plan.further)]
    return [name for name in cells[0] if any(texts[name] != NOTHING for texts in cells)]


def _table(first: str, columns: Sequence[str]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", overflow="fold")
    return table


def _cells(line: Line, columns: Sequence[str]) -> list[str]:
    texts = _texts(line)
    return [texts[name] for name in columns]


def _texts(line: Line) -> dict[str, str]:
    tokens = (line.input_tokens[0] + line.output_tokens[0], line.input_tokens[1] + line.output_tokens[1])
    return {
        "critiques": count(line.cases),
        "calls": count(line.calls),
        "tokens": count(tokens),
        "dollars": dollars(line.usd),
        "images": count(line.images),
        "trainings": count(line.trainings),
        "time": time(line.hours),
        "disk": size(line.disk_bytes),
    }


def _sharing(plan: Plan) -> list[str]:
    takers: dict[str, list[str]] = {}
    for line in plan.lines:
        if line.shares:
            takers.setdefault(line.shares, []).append(line.name)
    return [f"{', '.join(names)}: same images as {giver}" for giver, names in takers.items()]


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
    return _range(found, _short)


def dollars(found: Range) -> str:
    """A range of dollars."""
    return _range(found, money)


def money(usd: float) -> str:
    """Dollars: cents, or two digits that count."""
    return f"${usd:.2f}" if usd >= 0.1 or usd == 0 else f"${usd:.2g}"


def time(hours: Range) -> str:
    """A range of hours, minutes or seconds, whichever fits its end."""
    if hours is None or not hours[1]:
        return _range(hours, str)
    factor, unit = next((each for each in _TIMES if hours[1] * each[0] < 120), _TIMES[-1])
    return _range((hours[0] * factor, hours[1] * factor), _two, f" {unit}")


def size(found: Range) -> str:
    """A range of bytes."""
    if found is None or not found[1]:
        return _range(found, str)
    power = min(len(_UNITS) - 1, int(math.log(max(1.0, found[1]), 1000)))
    return _range((found[0] / 1000**power, found[1] / 1000**power), _two, f" {_UNITS[power]}")


def _range(found: Range, text: Callable[[float], str], unit: str = "") -> str:
    if found is None:
        return UNKNOWN
    if found[1] == 0:
        return NOTHING
    low, high = text(found[0]), text(found[1])
    return f"{low}{unit}" if low == high else f"{low}–{high}{unit}"


def _short(value: float) -> str:
    """A count: whole up to ten thousand, then three digits."""
    for power, letter in ((9, "G"), (6, "M"), (3, "k")):
        if value >= 10**power and value >= 10_000:
            return f"{value / 10**power:.3g}{letter}"
    return f"{value:,.0f}"


def _two(value: float) -> str:
    """A number with two digits that count, or whole."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
