"""The statistics of being unusual: one value against those of a class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LEAST = 8  # fewer reference values than this say nothing


@dataclass(frozen=True)
class Rarity:
    """How one value lies among those of a class.

    Attributes:
        distance: to the k-th nearest reference value, in the attribute's units.
        usual: the median of that distance among the reference values themselves.
        score: robust standard score of the distance's logarithm; above 0 is rarer than usual.
        p: probability of so high a score for a value of the class, before correction.
    """

    distance: float
    usual: float
    score: float
    p: float


class Reference:
    """The values one class shows of one attribute.

    The nonconformity of a value is its distance to the k-th nearest reference value, so that a few odd images among
    the reference hide nothing. Plain conformal p-values cannot fall below the share of such images; the logarithm of
    the distance is therefore scored by its median and upper spread, which a few odd ones cannot move.

    Args:
        values: n d, at least `LEAST` of them.
        share: k as a share of n: small for values with many modes, such as coats; a half for one broad mode.
        resolution: the distance below which two values count as the same.
    """

    def __init__(self, values: Floats, share: float, resolution: float) -> None:
        self.values = values
        self.resolution = resolution
        self.neighbours = min(max(2, int(np.ceil(share * len(values)))), len(values) - 1)
        distances = np.sort(np.linalg.norm(values[:, None] - values[None], axis=-1), axis=1)
        logs = np.log(distances[:, self.neighbours] + resolution)  # column 0 is the value itself
        self.middle = float(np.median(logs))
        deviation = 1.4826 * float(np.median(np.abs(logs - self.middle)))
        # Distances are skewed: the 84th percentile is one deviation up. At least a tenth (a factor of 1.1), for
        # among values that are all alike any other one would be infinitely rare.
        self.spread = max(float(np.quantile(logs, 0.84)) - self.middle, deviation, 0.1)

    def rarity(self, value: Floats) -> Rarity:
        """How rare `value`, d, is among the reference values."""
        from scipy.stats import t

        distances: NDArray[Any] = np.linalg.norm(self.values - value, axis=-1)
        distance = float(np.partition(distances, self.neighbours - 1)[self.neighbours - 1])
        score = float((np.log(distance + self.resolution) - self.middle) / self.spread)
        return Rarity(distance, float(np.exp(self.middle)), score, float(t.sf(score, df=len(self.values) - 1)))


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """P-values corrected for their number by Holm's step-down method, by name."""
    corrected: dict[str, float] = {}
    highest = 0.0
    for rank, name in enumerate(sorted(p, key=p.__getitem__)):
        highest = max(highest, min(1.0, p[name] * (len(p) - rank)))
        corrected[name] = highest
    return corrected
