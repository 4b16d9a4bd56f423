"""What each arm used: labels, real and new images, dollars and minutes, so that remedies can be compared by price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .arm_table import NONE
from .schema_arms import ArmResult
from .schema_report import ArmCost, Report

RESOURCE_HEADS = (
    *("arm", "trains", "guide labels", "group labels: training", "selection", "reserve images", "new images"),
    *("settings tried", "dollars", "minutes"),
)


@dataclass(frozen=True)
class ResourceRow:
    """One arm.

    Attributes:
        name: of the arm.
        cells: the other columns of `RESOURCE_HEADS`, as text; a dash for nothing.
    """

    name: str
    cells: tuple[str, ...]


def list_resources(report: Report) -> tuple[ResourceRow, ...]:
    """One row an arm, in the order of the report."""
    costs = {cost.name: cost for cost in report.run.arms}
    return tuple(_row(arm, costs.get(arm.name, ArmCost(name=arm.name))) for arm in report.arms)


def format_resources(report: Report) -> str:
    """The rows as aligned text."""
    rows = [RESOURCE_HEADS, *((" ".join(row.name.split()), *row.cells) for row in list_resources(report))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_align(row, widths) for row in rows]
    return "\n".join((lines[0], "  ".join("─" * width for width in widths), *lines[1:])) + "\n"


def _row(arm: ArmResult, cost: ArmCost) -> ResourceRow:
    used = arm.used
    counts = (
        *(used.guide_labels, used.group_labels_in_training, used.group_labels_in_selection, used.reserve_images),
        *(sum(arm.synthetic.values()), used.settings_tried if arm.trained else 0),
    )
    cells = (_describe_training(arm), *map(_format_count, counts), _format_usd(cost.usd), _format_minutes(cost.minutes))
    return ResourceRow(arm.name, cells)


def _describe_training(arm: ArmResult) -> str:
    if not arm.trained:
        return NONE
    return "last layer" if arm.head_only else f"{arm.steps:,} steps"


def _align(cells: Sequence[str], widths: Sequence[int]) -> str:
    name, *others = cells
    aligned = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
    return "  ".join((name.ljust(widths[0]), *aligned)).rstrip()


def _format_count(count: int) -> str:
    return f"{count:,}" if count else NONE


def _format_usd(usd: float) -> str:
    return f"${usd:.2f}" if usd >= 0.005 else (f"${usd:.2g}" if usd else NONE)


def _format_minutes(minutes: float) -> str:
    return f"{minutes:.1f}" if minutes >= 0.05 else (f"{minutes:.2g}" if minutes else NONE)
