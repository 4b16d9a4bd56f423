"""Summarises a method over many images: each measure against random maps, its interval, and a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

MIN_IMAGES = 10  # for a verdict
LEVEL = 0.95
# In which direction a good map differs from a random one.
MEASURES: Mapping[str, int] = {"deletion": -1, "insertion": 1, "pointing": 1, "energy": 1}
Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measure:
    """One measure on n images, and that of random maps on the same images.

    Attributes:
        name: "deletion" (less is better), "insertion", "pointing" or "energy" (more is better).
        values: n, of the method, 0 to 1; NaN where the measure is undefined.
        random: n, the mean of the random maps.
    """

    name: str
    values: Values
    random: Values

    @property
    def gains(self) -> Values:
        """By how much each image's map is better than random: of images with a value only."""
        gains = MEASURES[self.name] * (self.values - self.random)
        return gains[~np.isnan(gains)]

    @property
    def gain(self) -> float:
        """Mean of the gains: above 0 where the method is better than random maps."""
        return float(self.gains.mean()) if len(self.gains) else float("nan")

    def interval(self, level: float = LEVEL) -> tuple[float, float] | None:
        """The interval of the gain over the images: paired, by Student's t; None for fewer than ten images."""
        return _compute_interval(self.gains, level)


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """How faithful a method's maps are to a classifier, measured on images; prints as a table.

    Attributes:
        method: its name, or several names where the maps are of several methods.
        measures: by name; pointing and energy only where masks were given.
        shares: s+1, the shares of the image that were deleted or inserted; empty where no curves were kept.
        curves: by "deletion" and "insertion": n s+1, the target's probability with the method's map.
        random_curves: likewise, the mean of the random maps.
    """

    method: str
    measures: Mapping[str, Measure]
    shares: Values
    curves: Mapping[str, Values]
    random_curves: Mapping[str, Values]

    @property
    def images(self) -> int:
        """How many images had a map."""
        return len(self.measures["deletion"].gains)

    @property
    def gains(self) -> Values:
        """The mean gain of deletion and insertion for each image, which the verdict is about: n."""
        return (self.measures["deletion"].gains + self.measures["insertion"].gains) / 2

    def interval(self, level: float = LEVEL) -> tuple[float, float] | None:
        """The interval of the mean of `gains` over the images; None for fewer than ten images."""
        return _compute_interval(self.gains, level)

    @property
    def outcome(self) -> str:
        """ "better", "no better" or "worse" than random maps; "too few images" below ten."""
        interval = self.interval()
        if interval is None:
            return "too few images"
        return "better" if interval[0] > 0 else "worse" if interval[1] < 0 else "no better"

    @property
    def sentence(self) -> str:
        """The outcome as a sentence."""
        interval = self.interval()
        if interval is None:
            return f"{self.images} images are too few to say whether {self.method} is better than random maps."
        low, high = interval
        gain = f"gain {self.gains.mean():+.3f}, 95 % interval {low:+.3f} to {high:+.3f}".replace("-", "−")
        start = f"On {self.images} images the maps of {self.method}"
        if self.outcome == "better":
            return f"{start} show what the prediction depends on better than random maps do ({gain})."
        if self.outcome == "worse":
            return f"{start} are worse than random maps ({gain}): do not read them as reasons."
        return f"{start} are not measurably better than random maps ({gain}): do not read them as reasons."

    def __str__(self) -> str:
        lines = [
            f"{self.method}, {self.images} images",
            f"{'':<10} {'map':>6} {'random':>7} {'gain':>7}  95 % interval",
        ]
        for name, measure in self.measures.items():
            interval = measure.interval()
            shown = f"{interval[0]:+.3f} to {interval[1]:+.3f}" if interval else "too few images"
            means = f"{_mean(measure.values):6.3f} {_mean(measure.random):7.3f}"
            lines.append(f"{name:<10} {means} {measure.gain:+7.3f}  {shown}")
        return "\n".join([*lines, self.sentence])


def summarize(
    method: str, scores: Sequence[Mapping[str, tuple[float, float]]], curves: Sequence[Values] = ()
) -> Faithfulness:
    """Summarises the scores of many images.

    Args:
        method: name of the method.
        scores: of each image, by measure: the method's value and the mean of the random maps.
        curves: of each image, 2 2 s+1: deletion and insertion, the method's and the mean of the random maps.

    Raises:
        DataError: there are none.
    """
    if not scores:
        raise DataError("faithfulness: there is no explanation to measure")
    measures = {}
    for name in MEASURES:
        pairs = np.array([score.get(name, (np.nan, np.nan)) for score in scores], np.float64)
        if not np.isnan(pairs).all():
            measures[name] = Measure(name, pairs[:, 0], pairs[:, 1])
    kept = np.stack(curves) if len(curves) else np.zeros((0, 2, 2, 0))
    names = ("deletion", "insertion")
    return Faithfulness(
        method,
        measures,
        np.linspace(0, 1, kept.shape[-1]),
        {name: kept[:, way, 0] for way, name in enumerate(names)},
        {name: kept[:, way, 1] for way, name in enumerate(names)},
    )


def _compute_interval(gains: Values, level: float) -> tuple[float, float] | None:
    from scipy.special import stdtrit  # scipy.stats would take 50 MB more

    if len(gains) < MIN_IMAGES:
        return None
    margin = float(stdtrit(len(gains) - 1, (1 + level) / 2)) * float(gains.std(ddof=1)) / len(gains) ** 0.5
    return float(gains.mean()) - margin, float(gains.mean()) + margin


def _mean(values: Values) -> float:
    return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")
