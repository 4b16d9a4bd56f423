"""The page: one self-contained HTML file with a script of its own, without external resources."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..panel import format_scale
from ..records.pipeline import CONTINUED
from .arm_table import Spread, format_difference, format_percent, format_points, format_score, summarise_arms
from .calibration_table import list_calibrations
from .cases import collect_cases
from .cause_pictures import select_causes
from .charts import arm_curves, dot_plot
from .conclusion import explain_table, list_cautions, list_conclusions, list_limits
from .confusion import confusion_tables
from .page_text import cut_text, shorten_name, strip_invisible, to_pretty_json, to_script_json
from .rejections import select_rejections
from .resources import RESOURCE_HEADS, list_resources
from .schema_base import Row
from .schema_report import Report
from .slice_pictures import select_slices
from .thumbnails import LEFT_OUT, Pictures, run_scale

if TYPE_CHECKING:
    from jinja2 import Environment

# Characters of data URIs: pages of 25 and 60 MB stay below these sizes with all of their text.
MOST_DIAGNOSED, MOST_WITH_IMAGES = 22_000_000, 54_000_000
MOST_CHANGED = 200  # test images in the list of those that arms change


def render(report: Report, blob: Callable[[str], bytes]) -> str:
    """The page for a report: self-contained HTML, the same for the same input.

    Args:
        report: any report, also of an unfinished or failed run.
        blob: the bytes of a blob by its name; if it raises OSError or LookupError, the page names the missing picture.
            Called from several threads.
    """
    environment = create_environment()
    style, script = (environment.get_template(name).render() for name in ("page.css", "page.js"))
    heatmaps = (row.heatmap for row in report.cases if row.heatmap and not row.degenerate)
    scale = run_scale(report.settings, heatmaps, blob)
    pictures = Pictures(blob, scale=scale)
    gallery = collect_cases(report, pictures)
    parts = {
        "slices": select_slices(report, pictures),
        "causes": select_causes(report, pictures),
        "rejections": select_rejections(report, pictures),
    }
    drawn = pictures.draw(MOST_WITH_IMAGES if report.images.made else MOST_DIAGNOSED)
    return environment.get_template("page.html.j2").render(
        report=report,
        style=style,
        script=script,
        style_hash=hash_source(style),
        script_hash=hash_source(script),
        conclusions=list_conclusions(report),
        limits=list_limits(report),
        cautions=list_cautions(report),
        table_notes=explain_table(report),
        rows=summarise_arms(report),
        resources=list_resources(report),
        resource_heads=RESOURCE_HEADS,
        plot=dot_plot(report.arms),
        curves=arm_curves(report),
        tested_along=any(seed.history.test_accuracy for arm in report.arms for seed in arm.seeds),
        calibrations=list_calibrations(report),
        **parts,
        gallery=gallery,
        pictures=drawn,
        gallery_data=to_script_json(gallery.data),
        picture_data=to_script_json([[one.uri, one.width, one.height] if one.uri else one.missing for one in drawn]),
        left_out=drawn.count(LEFT_OUT),
        most_changed=MOST_CHANGED,
        shared_scale=scale and format_scale(scale),
        confusions=confusion_tables(report),
        seeds=sorted({seed.seed for arm in report.arms for seed in arm.seeds}),
        reference=CONTINUED,
    )


def hash_source(text: str) -> str:
    """The digest by which a Content-Security-Policy allows an inline style or script."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@functools.cache
def create_environment() -> Environment:
    """Templates of all pages: everything that is put in is escaped, and what is missing is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("xaiaug.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=strip_invisible,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {"worst": _sort_worst_first, "share": _format_share, "duration": _format_duration}
    environment.filters |= {"percent": format_percent, "points": format_points, "cut": cut_text, "name": shorten_name}
    environment.filters |= {"figure": format_score, "signed": format_difference, "json": to_pretty_json}
    return environment


def _sort_worst_first(rows: Sequence[Row], score: str) -> list[Row]:
    undefined = float("inf")
    return sorted(rows, key=lambda row: undefined if getattr(row, score) is None else getattr(row, score))


def _format_share(value: float | None) -> str:
    return format_percent(Spread(value))


def _format_duration(seconds: Any) -> str:
    """Seconds in the unit in which they are read most easily: "92 s", "12 min", "3.4 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
