"""The new images of a report, counted."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ..store import Reader
from .cases import image_stages


def image_summary(reader: Reader, labels: tuple[str, ...]) -> dict[str, Any]:
    """How many images were asked for, made, kept and rejected, and how many of each class an arm trains on."""
    rows = image_stages(reader)
    made = [(row, verdict) for _, row, verdict in rows if "image" in row]
    told = reader.fact("images") or []
    return {
        "asked": len(rows),
        "made": len(made),
        "failed": len(rows) - len(made),
        "kept": sum(verdict["kept"] for _, verdict in made),
        "rejected": dict(sorted(Counter(verdict["check"] for _, verdict in made if not verdict["kept"]).items())),
        "used": {label: told[0]["count"].get(label, 0) for label in labels} if told else {},
        "judge": reader.fact("judge"),
        "review": reader.fact("review"),
        "sources": [{"arms": images["arms"], **images["source"]} for images in _distinct(told)],
    }


def _distinct(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({images["name"]: images for images in told}.values())
