"""Prints what an exam of a critic will take, and what it came to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .plan import format_usd
from .terminal import print_line

if TYPE_CHECKING:
    from ..loop.critic_exam import CriticExam, Exam


def print_exam_plan(examination: CriticExam) -> None:
    """Shows the calls and dollars of all parts together."""
    plans = [loop.plan(splits, run_dir, "critique") for loop, splits, run_dir in examination.loops()]
    left = [plan.usd_left for plan in plans]
    print_line(f"{len(plans)} parts: each planted cause with the true map, with another image's, and with none")
    if None in left:
        print_line("dollars: unknown; set the most they may be with --budget-usd")
        return
    low, high = (sum(usd[end] for usd in left if usd is not None) for end in (0, 1))
    print_line(f"dollars: {format_usd(low)} to {format_usd(high)}")


def print_exam(exam: Exam, run_dir: Path) -> None:
    """Shows the marks by kind of map, and where the page is."""
    print_line(f"{'map':<10}{'cause':<28}{'place':<28}{'both'}")
    for row in exam.conditions:
        print_line(f"{row.maps:<10}{row.cause.text:<28}{row.place.text:<28}{row.right.text}")
    print_line("")
    print_line(exam.sentence)
    if exam.calls:
        print_line(f"{exam.calls:,} paid calls, {format_usd(exam.usd)}")
    print_line(f"report: {run_dir / 'exam.html'}")
