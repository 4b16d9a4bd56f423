"""Prints what an exam of a critic will take, and what it came to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .plan import format_usd
from .table_layout import print_table
from .terminal import print_line

if TYPE_CHECKING:
    from ..loop.critic_exam import CriticExam, Exam


def plan_exam(examination: CriticExam) -> dict[str, Any]:
    """The parts of an exam, and the least and most dollars of all together; None where a price is unknown."""
    plans = [loop.plan(splits, run_dir, "critique") for loop, splits, run_dir in examination.loops()]
    left = [plan.usd_left for plan in plans]
    if None in left:
        return {"parts": len(plans), "usd": None}
    return {"parts": len(plans), "usd": [sum(usd[end] for usd in left if usd is not None) for end in (0, 1)]}


def print_exam_plan(planned: dict[str, Any]) -> None:
    """Shows what `plan_exam` found."""
    print_line(f"{planned['parts']} parts: each planted cause with the true map, with another image's, and with none")
    if planned["usd"] is None:
        print_line("dollars: unknown; set a limit with --budget-usd")
    else:
        low, high = planned["usd"]
        print_line(f"dollars: {format_usd(low)} to {format_usd(high)}")


def print_exam(exam: Exam, run_dir: Path) -> None:
    """Shows the marks by kind of map, and where the page is."""
    rows = [(row.maps, row.cause.text, row.place.text, row.right.text) for row in exam.conditions]
    print_table(("map", "cause", "place", "both"), rows)
    print_line("")
    print_line(exam.sentence)
    if exam.calls:
        print_line(f"{exam.calls:,} paid calls, {format_usd(exam.usd)}")
    print_line(f"report: {run_dir / 'exam.html'}")
