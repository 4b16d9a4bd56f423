"""Faithfulness of heatmaps in a report: whether they are better than random maps."""

from __future__ import annotations

from typing import Literal

from .schema_base import Number, Row, Text


class MeasureRow(Row):
    """One measure, against random maps on the same images; values are 0 to 1.

    Attributes:
        name: "deletion" (lower is better), "insertion", "pointing" or "energy" (higher is better).
        mean: of the method.
        random: mean of the random maps.
        gain: improvement over random maps.
        low, high: 95 % interval of the gain, over the images; None for fewer than ten.
    """

    name: str
    mean: Number = None
    random: Number = None
    gain: Number = None
    low: Number = None
    high: Number = None


class MapsRow(Row):
    """How faithful the explainer's heatmaps are, measured on a sample of the mistakes.

    Attributes:
        method: the explainer's method.
        images: mistakes that were measured.
        outcome: "better", "no better" or "worse" than random maps, "too few images" below ten.
        sentence: the outcome in plain words.
        gain, low, high: mean gain of deletion and insertion with its 95 % interval, which decides the outcome.
        entropy, top_share, border_share: medians over the maps, 0 to 1; see `xaiaug.quality.MapStatistics`.
    """

    method: Text
    images: int
    outcome: Literal["better", "no better", "worse", "too few images"]
    sentence: Text
    gain: Number = None
    low: Number = None
    high: Number = None
    measures: tuple[MeasureRow, ...] = ()
    entropy: Number = None
    top_share: Number = None
    border_share: Number = None
