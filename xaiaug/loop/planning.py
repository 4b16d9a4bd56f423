"""Gathers what is known of a run, and has its plan drawn up."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

from ..data import Splits
from ..plan import Asked, Known, Plan, draw_up
from ..stages.quality import PREDICTIONS
from .cast import Cast
from .past import with_past

LOOKED_AT = 8  # images of the guide that are opened to see how large images are


def plan(asked: Asked, cast: Cast, splits: Splits, run_dir: str | Path, *, probe: bool = False) -> Plan:
    """The plan of a run.

    Args:
        asked: what it is about.
        cast: the plugins; none is prepared unless there is a probe.
        splits: the data, not checked.
        run_dir: where the run lies, or will lie.
        probe: whether to measure speeds on a few images.
    """
    known = with_past(_found(splits), run_dir, asked.settings, cast, asked.until)
    if probe:
        from .probe import with_probe

        known = with_probe(known, asked.settings, cast, splits)
    return draw_up(asked, known)


def _found(splits: Splits) -> Known:
    images = {name: len(splits[name]) for name in ("train", "guide", "validation", "test", "reserve")}
    step = max(1, len(splits.guide) // LOOKED_AT)
    sizes = [sample.open().size for sample in splits.guide[::step][:LOOKED_AT]]
    pixels = fmean(width * height for width, height in sizes) if sizes else 0.0
    return Known(images, len(splits.labels), pixels, PREDICTIONS)
