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


def print_plan(plan: Plan, *, error: bool = False) -> None:
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
    console.print(f"mistakes to learn from: {format_count(plan.mistakes)} ({known})\n", markup=False)
    console.print(_parts_table(plan))
    if plan.further:
        console.print(_further_table(plan))
    for line in (*_shared_images(plan), *_uploads(plan), *_costs(plan)):
        console.print(line, markup=False)
    _print_notes(console, plan)


def _print_notes(console: Console, plan: Plan) -> None:
    for name, reason in (plan.left_out or {}).items():
        console.print(f"left out: {name}: {reason}", markup=False)
    for kind, licence in (plan.licences or {}).items():
        console.print(f"licence of the {kind}'s weights: {licence}", markup=False)
    for sentence in plan.assumptions:
        console.print(f"· {sentence}", markup=False)
    for sentence in plan.obstacles:
        console.print(f"! {sentence}", markup=False)


def _parts_table(plan: Plan) -> Table:
    columns = _columns(plan)
    table = _table("part", columns)
    for line in plan.lines:
        table.add_row(line.name, *_cells(line, columns))
    table.add_section()
    table.add_row("in sum", *_cells(plan.total, columns))
    return table


def _further_table(plan: Plan) -> Table:
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
        "critiques": format_count(line.cases),
        "calls": format_count(line.calls),
        "tokens": format_count(tokens),
        "dollars": format_dollars(line.usd),
        "images": format_count(line.images),
        "trainings": format_count(line.trainings),
        "time": format_hours(line.hours),
        "disk": format_bytes(line.disk_bytes),
    }


def _shared_images(plan: Plan) -> list[str]:
    takers: dict[str, list[str]] = {}
    for line in plan.lines:
        if line.shares:
            takers.setdefault(line.shares, []).append(line.name)
    return [f"{', '.join(names)}: same images as {giver}" for giver, names in takers.items()]


def _uploads(plan: Plan) -> list[str]:
    if not plan.receivers:
        return ["Nothing leaves this machine."]
    return [
        f"leaves this machine: {format_bytes(one.upload_bytes)} to {one.receiver}, "
        f"by the {one.kind} {one.name}: {one.what}"
        for one in plan.receivers
    ]


def _costs(plan: Plan) -> list[str]:
    lines = [f"price of {price['model']}: {price['source']}, {price['date']}" for price in plan.prices]
    if plan.paid_calls or plan.paid_usd:
        left = "nothing" if plan.finished else format_dollars(plan.usd_left)
        lines.append(f"paid already: {format_usd(plan.paid_usd)} for {plan.paid_calls} calls; still to be paid: {left}")
    if plan.budget_usd is not None:
        lines.append(f"budget: {format_usd(plan.budget_usd)}")
    return lines


def format_count(found: Range) -> str:
    """A range of whole numbers; large ones with three digits that count."""
    return _format_range(found, _format_large)


def format_dollars(found: Range) -> str:
    """A range of dollars."""
    return _format_range(found, format_usd)


def format_usd(usd: float) -> str:
    """Dollars: cents, or two digits that count."""
    return f"${usd:.2f}" if usd >= 0.1 or usd == 0 else f"${usd:.2g}"


def format_hours(hours: Range) -> str:
    """A range of hours, minutes or seconds, whichever fits its end."""
    if hours is None or not hours[1]:
        return _format_range(hours, str)
    factor, unit = next((each for each in _TIMES if hours[1] * each[0] < 120), _TIMES[-1])
    return _format_range((hours[0] * factor, hours[1] * factor), _two_digits, f" {unit}")


def format_bytes(found: Range) -> str:
    """A range of bytes."""
    if found is None or not found[1]:
        return _format_range(found, str)
    power = min(len(_UNITS) - 1, int(math.log(max(1.0, found[1]), 1000)))
    return _format_range((found[0] / 1000**power, found[1] / 1000**power), _two_digits, f" {_UNITS[power]}")


def _format_range(found: Range, text: Callable[[float], str], unit: str = "") -> str:
    if found is None:
        return UNKNOWN
    if found[1] == 0:
        return NOTHING
    low, high = text(found[0]), text(found[1])
    return f"{low}{unit}" if low == high else f"{low}–{high}{unit}"


def _format_large(value: float) -> str:
    """A count: whole up to ten thousand, then three digits."""
    for power, letter in ((9, "G"), (6, "M"), (3, "k")):
        if value >= 10**power and value >= 10_000:
            return f"{value / 10**power:.3g}{letter}"
    return f"{value:,.0f}"


def _two_digits(value: float) -> str:
    """A number with two digits that count, or whole."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
