"""The page: one self-contained HTML file, without scripts or external resources."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..panel import format_scale
from ..records.pipeline import CONTINUED
from .arm_table import Spread, format_difference, format_percent, format_points, format_score, summarise_arms
from .cases import select_cases
from .cause_pictures import select_causes
from .charts import arm_curves, dot_plot
from .conclusion import explain_table, list_conclusions, list_limits
from .confusion import confusion_tables
from .resources import RESOURCE_HEADS, list_resources
from .schema_base import Row
from .schema_report import Report
from .slice_pictures import select_slices
from .thumbnails import Thumbnails, run_scale

if TYPE_CHECKING:
    from jinja2 import Environment

OPEN_CASES = 6
MOST_NAME = 80  # characters of a class; all of them are in report.json

# Control characters except tab and newline, and the marks that change the direction of text.
_UNSEEN = dict.fromkeys((*range(9), *range(11, 32), *range(127, 160)), "\N{REPLACEMENT CHARACTER}")
_UNSEEN |= dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "")


def render(report: Report, blob: Callable[[str], bytes]) -> str:
    """The page for a report: self-contained HTML, the same for the same input.

    Args:
        report: any report, also of an unfinished or failed run.
        blob: the bytes of a blob by its name; if it raises OSError or LookupError, the page names the missing picture.
    """
    environment = create_environment()
    style = environment.get_template("page.css").render()
    heatmaps = (row.heatmap for row in report.cases if row.heatmap and not row.degenerate)
    scale = run_scale(report.settings, heatmaps, blob)
    pictures = Thumbnails(blob, scale=scale)
    return environment.get_template("page.html.j2").render(
        report=report,
        style=style,
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        conclusions=list_conclusions(report),
        limits=list_limits(report),
        table_notes=explain_table(report),
        rows=summarise_arms(report),
        resources=list_resources(report),
        resource_heads=RESOURCE_HEADS,
        plot=dot_plot(report.arms),
        curves=arm_curves(report),
        tested_along=any(seed.history.test_accuracy for arm in report.arms for seed in arm.seeds),
        slices=select_slices(report, pictures),
        causes=select_causes(report, pictures),
        cases=select_cases(report, pictures),
        left_out=pictures.left_out,
        shared_scale=scale and format_scale(scale),
        open_cases=OPEN_CASES,
        confusions=confusion_tables(report),
        reference=CONTINUED,
    )


@functools.cache
def create_environment() -> Environment:
    """Templates of all pages: everything that is put in is escaped, and what is missing is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("xaiaug.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_strip_invisible,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {"worst": _sort_worst_first, "share": _format_share}
    environment.filters |= {"percent": format_percent, "points": format_points, "json": _format_json, "cut": _truncate}
    environment.filters["name"] = _shorten_name
    environment.filters |= {"figure": format_score, "signed": format_difference}
    return environment


def _strip_invisible(value: Any) -> Any:
    """Text without characters that change its direction or are not allowed in HTML."""
    return value.translate(_UNSEEN) if type(value) is str else value


def _format_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _truncate(text: str, most: int = 1200) -> str:
    return (
        text if len(text) <= most else f"{text[:most].rstrip()} … ({len(text) - most:,} more characters in report.json)"
    )


def _shorten_name(name: str) -> str:
    return name if len(name) <= MOST_NAME else f"{name[:MOST_NAME].rstrip()}… ({len(name):,} characters)"


def _sort_worst_first(rows: Sequence[Row], score: str) -> list[Row]:
    undefined = float("inf")
    return sorted(rows, key=lambda row: undefined if getattr(row, score) is None else getattr(row, score))


def _format_share(value: float | None) -> str:
    return format_percent(Spread(value))
