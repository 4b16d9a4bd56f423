"""Records as HTML for notebooks: escaped, without scripts and links, pictures as data URIs, a few KB each."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any

from PIL import Image

from ..panel.colormap import format_scale, scale_of
from .heatmap_file import draw_heatmap

SIDE = 256  # pixels of the longer side of a picture
LONGEST = 300  # characters of a value that has no form of its own
SHOWN = 20  # rows of a table
Pairs = Iterable[tuple[str, object]]
# Colours are those of the notebook, light or dark.
_CELL = "text-align:left;vertical-align:top;padding:2px 10px 2px 0"
_BOX = "font-family:system-ui,sans-serif;font-size:13px;line-height:1.4;max-width:60em"


def to_html(record: Any) -> str:
    """A record as HTML; one without a form of its own as a table of its fields."""
    draw = _FORMS.get(type(record).__name__)
    return wrap(draw(record) if draw else format_pairs(type(record).__name__, _list_fields(record)))


def wrap(*parts: str) -> str:
    """One block of HTML."""
    return f'<div style="{_BOX}">{"".join(parts)}</div>'


def format_pairs(title: str, pairs: Pairs) -> str:
    """A title, and a table of names and values; what is empty is left out."""
    rows = "".join(
        f'<tr><th scope="row" style="{_CELL}">{escape(name)}</th><td style="{_CELL}">{escape(str(value))}</td></tr>'
        for name, value in pairs
        if value not in (None, "", (), {}, [])
    )
    return f"{format_title(title)}<table>{rows}</table>"


def format_title(text: str) -> str:
    """A line in bold."""
    return f"<div><strong>{escape(text)}</strong></div>" if text else ""


def format_text(text: str) -> str:
    """A paragraph."""
    return f'<p style="margin:4px 0">{escape(text)}</p>' if text else ""


def format_list(items: Iterable[str]) -> str:
    """A list; empty without items."""
    entries = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f'<ul style="margin:4px 0;padding-left:1.4em">{entries}</ul>' if entries else ""


def format_table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table with heads; of many rows the first, and how many more there are."""
    head = "".join(f'<th scope="col" style="{_CELL}">{escape(one)}</th>' for one in heads)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{escape(str(cell))}</td>' for cell in row) + "</tr>"
        for row in rows[:SHOWN]
    )
    more = format_text(f"and {len(rows) - SHOWN} more") if len(rows) > SHOWN else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def format_picture(image: Image.Image, description: str) -> str:
    """A picture, at most `SIDE` pixels wide and high."""
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=85)
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="{escape(description)}" src="data:image/jpeg;base64,{data}">'


def _format_explanation(explanation: Any) -> str:
    scale = scale_of(explanation)
    pairs = (
        ("method", explanation.method),
        (
            "explains",
            f"class {explanation.target}" if explanation.class_specific else "the decision, of whatever class",
        ),
        ("size", "{1} x {0} pixels".format(*explanation.heatmap.shape)),
        ("values", "no signal" if scale is None else " to ".join(format_scale(scale))),
    )
    picture = format_picture(draw_heatmap(explanation, None), f"heatmap by {explanation.method}")
    return format_pairs("Explanation", pairs) + picture


def _format_critique(critique: Any) -> str:
    hints = ", ".join(f"{name}: {value}" for name, value in critique.guidance.items())
    pairs = (
        ("prompt", critique.prompt),
        ("looked at", critique.attended),
        ("difficulty", critique.difficulty),
        ("confidence", f"{critique.confidence:.0%}"),
        ("hints", hints),
        ("label", "looks wrong" if critique.label_suspect else ""),
    )
    return format_pairs(critique.cause, pairs) + format_list(critique.evidence)


def _format_slice(one: Any) -> str:
    pairs = (
        ("class", _format_pair(one.label, one.predicted)),
        ("mistakes", f"{one.mistakes} of {one.size} images"),
        ("accuracy", f"{one.accuracy:.1%} (95 % interval {one.low:.1%} to {one.high:.1%})"),
        ("other images", None if one.rest is None else f"{one.rest:.1%}"),
        ("p", f"{one.p:.2g}"),
        ("tested", "" if one.verdict is None else one.verdict.sentence),
    )
    return format_pairs(one.name, pairs)


def _format_slices(found: Any) -> str:
    rows = [
        (one.name, _format_pair(one.label, one.predicted), f"{one.mistakes} of {one.size}", f"{one.accuracy:.1%}", rest)
        for one in found.slices
        for rest in ("–" if one.rest is None else f"{one.rest:.1%}",)
    ]
    heads = ("slice", "class", "mistakes", "accuracy", "other images")
    title = format_title(f"{len(rows)} slices of {found.mistakes} mistakes among {found.images} images")
    return title + (format_table(heads, rows) if rows else format_text(found.reason))


def _format_cause(verdict: Any) -> str:
    counts = (
        ("fixed", _format_count(verdict.fixed, verdict.tested, verdict.fixed_elsewhere, verdict.fixed_by_nuisance)),
        (
            "broken",
            _format_count(verdict.broken, verdict.correct, verdict.broken_elsewhere, verdict.broken_by_nuisance),
        ),
    )
    pairs = (("class", _format_pair(verdict.label, verdict.predicted)), *counts, ("p", f"{verdict.p:.2g}"))
    return format_pairs(f"{verdict.outcome}: {verdict.sentence}", pairs)


def _format_count(count: int, of: int, elsewhere: int, nuisance: int) -> str:
    return f"{count} of {of}; by the same edit elsewhere {elsewhere}, by a nuisance edit {nuisance}" if of else ""


def _format_pair(label: str | None, predicted: str | None) -> str:
    return f"{label or 'several'}, predicted as {predicted or 'several'}"


def _list_fields(record: Any) -> Pairs:
    if dataclasses.is_dataclass(record):
        names: Iterable[str] = (field.name for field in dataclasses.fields(record))
    else:
        names = type(record).model_fields
    return [(name, _shorten(getattr(record, name))) for name in names]


def _shorten(value: object) -> str:
    if value is None or value in ((), "") or (isinstance(value, Mapping) and not value):
        return ""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


_FORMS: dict[str, Callable[[Any], str]] = {
    "CauseVerdict": _format_cause,
    "Critique": _format_critique,
    "CritiqueRow": _format_critique,
    "Explanation": _format_explanation,
    "MistakeSlice": _format_slice,
    "SliceRow": _format_slice,
    "Slices": _format_slices,
    "SlicesRow": _format_slices,
    "TestedCauseRow": _format_cause,
}
