"""How records show themselves in a notebook: by the room `display`, which knows them, and which they do not know.

It is found by its name when a record is shown, so that records depend on nothing. No other arrow points upwards.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def to_html(record: object) -> str:
    """The record as HTML that stands alone: escaped, without scripts, pictures as data URIs."""
    html: str = _load("notebook_html").to_html(record)
    return html


def draw_heatmap(explanation: Any, image: Any, scale: tuple[float, float] | None) -> Any:
    """The heatmap of an explanation over an image, or alone where there is none: a PIL image."""
    return _load("heatmap_file").draw_heatmap(explanation, image, scale)


def save_heatmap(explanation: Any, path: Any, image: Any) -> Any:
    """Writes the heatmap of an explanation to a file; returns its path."""
    return _load("heatmap_file").save_heatmap(explanation, path, image)


def _load(name: str) -> Any:
    return import_module(f"xaiaug.display.{name}")
