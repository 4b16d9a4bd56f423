"""Prints the plan of a run as tables and text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .table_layout import print_table
from .terminal import print_line

if TYPE_CHECKING:
    from ..plan import Line, Plan

Range = tuple[float, float] | None
UNKNOWN, NOTHING = "?", "–"
_TIMES = ((3600, "s"), (60, "min"), (1, "h"))
_UNITS = ("B", "kB", "MB", "GB", "TB")


def print_plan(plan: Plan, *, error: bool = False) -> None:
    """Prints a plan as text.

    Args:
        plan: the plan.
        error: whether to print to standard error, for a question that follows there.
    """

    def show(text: str) -> None:
        print_line(text, error=error)

    source = "from the run folder" if plan.mistakes_known else "estimated"
    show(f"mistakes to learn from: {format_count(plan.mistakes)} ({source})")
    show("")
    columns = _columns(plan)
    print_table(("part", *columns), _rows((*plan.lines, replace(plan.total, name="total")), columns), error=error)
    if plan.further:
        show("")
        print_table(("extra cost of", *columns), _rows(plan.further, columns), error=error)
    show("")
    for line in (
        *_stages(plan),
        *_savings(plan),
        *_shared_images(plan),
        *_uploads(plan),
        *_costs(plan),
        *_list_notes(plan),
    ):
        show(line)


def _list_notes(plan: Plan) -> Iterator[str]:
    for name, reason in (plan.left_out or {}).items():
        yield f"left out: {name}: {reason}"
    for kind, licence in (plan.licences or {}).items():
        yield f"licence of the {kind}'s weights: {licence}"
    for sentence in plan.assumptions:
        yield f"· {sentence}"
    for sentence in plan.obstacles:
        yield f"! {sentence}"


def _columns(plan: Plan) -> list[str]:
    """Names of the columns that are not empty."""
    cells = [_texts(line) for line in (plan.total, *plan.further)]
    return [name for name in cells[0] if any(texts[name] != NOTHING for texts in cells)]


def _rows(lines: Sequence[Line], columns: Sequence[str]) -> list[tuple[str, ...]]:
    return [(line.name, *(_texts(line)[name] for name in columns)) for line in lines]


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


def _stages(plan: Plan) -> list[str]:
    """Hours by kind of stage; nothing where this machine alone does the work, one piece at a time."""
    parts = [f"{kind} {format_hours(hours)}" for kind, hours in plan.stage_hours.items()]
    workers = plan.described_workers
    return [f"time with {workers}: {', '.join(parts)}"] if workers and parts else []


def _savings(plan: Plan) -> list[str]:
    told = {"saved by asking once per slice": plan.saved, "added by asking more than once": plan.agreement}
    return [
        f"{what}: {format_count(line.calls)} calls, {format_dollars(line.usd)}"
        for what, line in told.items()
        if line is not None
    ]


def _shared_images(plan: Plan) -> list[str]:
    sharing: dict[str, list[str]] = {}
    for line in plan.lines:
        if line.shares:
            sharing.setdefault(line.shares, []).append(line.name)
    return [f"{', '.join(names)}: same images as {source}" for source, names in sharing.items()]


def _uploads(plan: Plan) -> list[str]:
    if not plan.receivers:
        return ["Nothing is uploaded."]
    return [
        f"uploads {format_bytes(upload.upload_bytes)} to {upload.receiver}, by the {upload.kind} {upload.name}: "
        f"{upload.what}"
        for upload in plan.receivers
    ]


def _costs(plan: Plan) -> list[str]:
    lines = [f"price of {price['model']}: {price['source']}, {price['date']}" for price in plan.prices]
    if plan.paid_calls or plan.paid_usd:
        left = "nothing" if plan.finished else format_dollars(plan.usd_left)
        lines.append(f"already paid: {format_usd(plan.paid_usd)} for {plan.paid_calls} calls; still to pay: {left}")
    if plan.budget_usd is not None:
        lines.append(f"budget: {format_usd(plan.budget_usd)}")
    return lines


def format_count(values: Range) -> str:
    """A range of integers; large ones with three significant digits."""
    return _format_range(values, _format_large)


def format_dollars(values: Range) -> str:
    """A range of dollars."""
    return _format_range(values, format_usd)


def format_usd(usd: float) -> str:
    """Dollars, to the cent or two significant digits."""
    return f"${usd:.2f}" if usd >= 0.1 or usd == 0 else f"${usd:.2g}"


def format_hours(hours: Range) -> str:
    """A range of hours in hours, minutes or seconds, depending on its upper end."""
    if hours is None or not hours[1]:
        return _format_range(hours, str)
    factor, unit = next((each for each in _TIMES if hours[1] * each[0] < 120), _TIMES[-1])
    return _format_range((hours[0] * factor, hours[1] * factor), _two_digits, f" {unit}")


def format_bytes(values: Range) -> str:
    """A range of bytes."""
    if values is None or not values[1]:
        return _format_range(values, str)
    power = min(len(_UNITS) - 1, int(math.log(max(1.0, values[1]), 1000)))
    return _format_range((values[0] / 1000**power, values[1] / 1000**power), _two_digits, f" {_UNITS[power]}")


def _format_range(values: Range, text: Callable[[float], str], unit: str = "") -> str:
    if values is None:
        return UNKNOWN
    if values[1] == 0:
        return NOTHING
    low, high = text(values[0]), text(values[1])
    return f"{low}{unit}" if low == high else f"{low}–{high}{unit}"


def _format_large(value: float) -> str:
    """An integer below ten thousand, else three significant digits and a unit."""
    for power, letter in ((9, "G"), (6, "M"), (3, "k")):
        if value >= 10**power and value >= 10_000:
            return f"{value / 10**power:.3g}{letter}"
    return f"{value:,.0f}"


def _two_digits(value: float) -> str:
    """Two significant digits, or an integer."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
