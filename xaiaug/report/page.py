"""The page: one HTML file that asks nobody for anything."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..panel import format_scale
from .arm_table import REFERENCE, Spread, arm_rows, figure, percent, points, signed
from .cases import shown_cases
from .charts import arm_curves, dot_plot
from .conclusion import meaning, outcome, tags
from .confusion import confusions
from .schema_base import Row
from .schema_report import Report
from .thumbnails import Pictures, run_scale

if TYPE_CHECKING:
    from jinja2 import Environment

OPEN_CASES = 6

# Control characters but tab and newline, and the marks that turn the direction of what follows them.
_UNSEEN = dict.fromkeys((*range(9), *range(11, 32), *range(127, 160)), "\N{REPLACEMENT CHARACTER}")
_UNSEEN |= dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "")


def render(report: Report, blob: Callable[[str], bytes]) -> str:
    """The page for a report: self-contained HTML, the same for the same input.

    Args:
        report: any report, also of an unfinished or failed run.
        blob: the bytes of a blob by its name; may raise OSError or LookupError, the page then says what is missing.
    """
    environment = _environment()
    style = environment.get_template("page.css").render()
    heatmaps = (row.heatmap for row in report.cases if row.heatmap and not row.degenerate)
    scale = run_scale(report.settings, heatmaps, blob)
    pictures = Pictures(blob, scale=scale)
    return environment.get_template("page.html.j2").render(
        report=report,
        style=style,
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        outcome=outcome(report),
        tags=tags(report),
        meaning=meaning(report),
        rows=arm_rows(report),
        plot=dot_plot(report.arms),
        curves=arm_curves(report),
        tested_along=any(seed.history.test_accuracy for arm in report.arms for seed in arm.seeds),
        cases=shown_cases(report, pictures),
        left_out=pictures.left_out,
        shared_scale=scale and format_scale(scale),
        open_cases=OPEN_CASES,
        confusions=confusions(report),
        reference=REFERENCE,
    )


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("xaiaug.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {"worst": _worst, "share": _share}
    environment.filters |= {"percent": percent, "points": points, "json": _pretty, "cut": _cut}
    environment.filters |= {"figure": figure, "signed": signed}
    return environment


def _visible(value: Any) -> Any:
    """Text without the characters that turn the text around them or cannot stand in HTML."""
    return value.translate(_UNSEEN) if type(value) is str else value


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _cut(text: str, most: int = 1200) -> str:
    return (
        text if len(text) <= most else f"{text[:most].rstrip()} … ({len(text) - most:,} more characters in report.json)"
    )


def _worst(rows: Sequence[Row], score: str) -> list[Row]:
    undefined = float("inf")
    return sorted(rows, key=lambda row: undefined if getattr(row, score) is None else getattr(row, score))


def _share(value: float | None) -> str:
    return percent(Spread(value))
